"""Settings: the environment is read once, and a mistake in it is one line that names key, value and remedy."""

import json
import os
from pathlib import Path

import pytest

from app.errors import OperatorError
from app.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TRUELIFT_")]:
        monkeypatch.delenv(variable)


def test_a_misspelt_variable_is_refused_with_the_right_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_BROKR", "somewhere:9092")
    with pytest.raises(OperatorError, match=r"unknown setting TRUELIFT_BROKR\. Did you mean TRUELIFT_BROKER\?"):
        Settings()


def test_a_neighbours_variable_is_named_and_ignored(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("TRUELIFT_ZEBRA", "1")
    monkeypatch.setenv("TRUELIFT_SERVICE_HOST", "10.0.0.1")  # Kubernetes, for a Service called truelift
    monkeypatch.setenv("TRUELIFT_PORT_6066_TCP_ADDR", "10.0.0.1")
    Settings()
    assert "TRUELIFT_ZEBRA" in caplog.text
    assert "SERVICE_HOST" not in caplog.text


def test_an_unusable_value_is_one_line_with_key_value_and_what_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_PARTITIONS", "many")
    with pytest.raises(OperatorError) as caught:
        Settings()
    assert str(caught.value).startswith("TRUELIFT_PARTITIONS is 'many', which is not usable. Expected: ")
    assert "integer" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_embedded_brokers_address_is_found_while_its_process_lives(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.broker_file().parent.mkdir()
    record = {"pid": os.getpid(), "host": "127.0.0.1", "port": 23456, "started": ""}
    settings.broker_file().write_text(json.dumps(record))
    assert settings.bootstrap() == "127.0.0.1:23456"
    assert settings.governance_kafka() == settings.kafka()
    ended = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(ended, 0)
    settings.broker_file().write_text(json.dumps(record | {"pid": ended}))
    with pytest.raises(OperatorError, match="truelift broker start"):
        settings.bootstrap()


def test_topic_names_carry_the_prefix_and_lose_it_again() -> None:
    settings = Settings(topic_prefix="staging.")
    assert settings.topic("events.page_view") == "staging.events.page_view"
    assert settings.topic_base("staging.events.page_view") == "events.page_view"
