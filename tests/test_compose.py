"""docker-compose.yml, checked without a docker engine: what it names exists; two workers share only what they may."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import PREFIX, Settings
from app.stream.broker_config import MAX_MESSAGE_BYTES
from app.stream.jvm import KAFKA_VERSION

ROOT = Path(__file__).parents[1]
WORKERS = ("worker-1", "worker-2")
MONITORING = ("prometheus", "grafana")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_it_has_a_broker_the_topics_two_workers_and_what_watches_them(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"kafka", "topics", *WORKERS, *MONITORING}
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert compose["services"]["topics"]["command"] == ["truelift", "topics", "init"]


def test_every_variable_is_a_setting_with_a_usable_value(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("topics", *WORKERS):
        environment = compose["services"][name]["environment"]
        for variable, value in environment.items():
            assert variable.removeprefix(PREFIX).lower() in Settings.model_fields, variable
            monkeypatch.setenv(variable, value)
        settings = Settings()
        assert settings.bootstrap() == "kafka:9092"
        assert settings.replication_factor == 1


def test_a_worker_is_healthy_when_its_own_web_port_answers(compose: dict[str, Any]) -> None:
    for name in WORKERS:
        worker = compose["services"][name]
        port = worker["environment"]["TRUELIFT_WEB_PORT"]
        assert f"http://127.0.0.1:{port}/" in worker["healthcheck"]["test"][-1]
        assert any(mapping.endswith(f":{port}") for mapping in worker["ports"])


def test_workers_have_an_identity_and_a_store_of_their_own(compose: dict[str, Any]) -> None:
    workers = [compose["services"][name] for name in WORKERS]
    assert len({worker["environment"]["TRUELIFT_GROUP_INSTANCE_ID"] for worker in workers}) == len(WORKERS)
    stores = [volume.partition(":") for worker in workers for volume in worker["volumes"]]
    assert len({name for name, _, _ in stores}) == len(WORKERS)
    for worker, (name, _, path) in zip(workers, stores, strict=True):
        assert name in compose["volumes"]
        assert path == worker["environment"]["TRUELIFT_DATA_DIR"]


def test_the_order_of_the_start_waits_for_conditions(compose: dict[str, Any]) -> None:
    assert "healthcheck" in compose["services"]["kafka"]
    for name in WORKERS:
        assert compose["services"][name]["depends_on"] == {
            "kafka": {"condition": "service_healthy"},
            "topics": {"condition": "service_completed_successfully"},
        }


def test_the_single_node_can_hold_transactions_and_the_largest_dead_letter(compose: dict[str, Any]) -> None:
    kafka = compose["services"]["kafka"]["environment"]
    for replicas in (
        "OFFSETS_TOPIC_REPLICATION_FACTOR",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
        "TRANSACTION_STATE_LOG_MIN_ISR",
        "MIN_INSYNC_REPLICAS",
    ):
        assert kafka[f"KAFKA_{replicas}"] == "1"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) == MAX_MESSAGE_BYTES
    assert compose["services"]["kafka"]["volumes"] == [f"kafka-data:{kafka['KAFKA_LOG_DIRS']}"]


def test_prometheus_scrapes_every_worker_where_it_listens_and_reads_the_alerts(compose: dict[str, Any]) -> None:
    mounts = mounts_of(compose, "prometheus")
    config = yaml.safe_load(mounts["/etc/prometheus/prometheus.yaml"].read_text())
    assert "--config.file=/etc/prometheus/prometheus.yaml" in compose["services"]["prometheus"]["command"]
    (job,) = config["scrape_configs"]
    ports = {name: compose["services"][name]["environment"]["TRUELIFT_WEB_PORT"] for name in WORKERS}
    assert job["static_configs"] == [{"targets": [f"{name}:{port}" for name, port in ports.items()]}]
    assert [mounts[path].name for path in config["rule_files"]] == ["alerts.yaml"]


def test_grafana_is_given_its_source_and_the_folder_that_the_dashboard_is_in(compose: dict[str, Any]) -> None:
    mounts = mounts_of(compose, "grafana")
    sources = yaml.safe_load(mounts["/etc/grafana/provisioning/datasources/truelift.yaml"].read_text())["datasources"]
    (prometheus_port,) = (mapping.split(":")[-1] for mapping in compose["services"]["prometheus"]["ports"])
    assert [(source["type"], source["url"]) for source in sources] == [("prometheus", f"http://prometheus:{prometheus_port}")]
    (provider,) = yaml.safe_load(mounts["/etc/grafana/provisioning/dashboards/truelift.yaml"].read_text())["providers"]
    dashboards = [path for path in mounts if path.startswith(provider["options"]["path"] + "/") and path.endswith(".json")]
    assert [mounts[path].name for path in dashboards] == ["grafana-dashboard.json"]


def test_what_watches_is_asked_for_and_listens_on_this_host_alone(compose: dict[str, Any]) -> None:
    for name in MONITORING:
        service = compose["services"][name]
        assert service["profiles"] == ["monitoring"]
        assert all(mapping.startswith("127.0.0.1:") for mapping in service["ports"])
        assert {volume.partition(":")[0] for volume in service["volumes"] if not volume.startswith("./")} <= set(
            compose["volumes"]
        )


def mounts_of(compose: dict[str, Any], service: str) -> dict[str, Path]:
    """{path in the container: the file of the repository}, each of which is there and cannot be written."""
    volumes = [volume.split(":") for volume in compose["services"][service]["volumes"] if volume.startswith("./")]
    assert all(mode == "ro" and (ROOT / source).is_file() for source, _, mode in volumes)
    return {target: ROOT / source for source, target, _ in volumes}


def test_the_image_is_built_from_files_that_are_here_and_from_the_lock(compose: dict[str, Any]) -> None:
    recipe = compose["services"]["worker-1"]["build"]["dockerfile_inline"]
    copied = [word for line in recipe.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]]
    assert {"requirements.lock", "pyproject.toml", "app", "agents", "tables"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied if name != "README.md")
    assert "--require-hashes --requirement requirements.lock" in recipe
