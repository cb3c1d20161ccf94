"""The commands as people run them, against the real log."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from app.cli import app
from app.contract.model import content_sha256
from app.contract.topics import GOVERNANCE, topic_specs
from app.errors import CallerError, TrueliftError
from app.governance.records import RefusedError
from app.settings import Settings
from app.stream.admin import ensure_topics
from tests.governance.test_model_rules import gate

KEY = "onboarding_nudge_v1"
DATA = Path(__file__).parents[1] / "data"
EXAMPLE = str(DATA / f"{KEY}.yaml")
Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """truelift ARGUMENTS; an error that main() would print in one line is raised."""
    for name in ("broker", "data_dir", "topic_prefix"):
        monkeypatch.setenv(f"TRUELIFT_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("COLUMNS", "200")
    asyncio.run(ensure_topics(settings, [spec for spec in topic_specs([], 1_048_576) if spec.name == GOVERNANCE]))

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, TrueliftError):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def house(run: Run) -> Run:
    run("keys", "init")
    run("keys", "new", "ana", "--actor", "Ana", "--role", "author", "--role", "operator")
    run("keys", "new", "ben", "--actor", "Ben", "--role", "approver", "--not-after", "2099-12-31")
    return run


def activate(run: Run) -> None:
    run("policy", "propose", EXAMPLE, "--as", "ana", "--reason", "a nudge may help")
    run("policy", "approve", KEY, "--as", "ben", "--reason", "read it")
    run("policy", "activate", KEY, "--without-readiness", "--as", "ana", "--reason", "start")


@pytest.mark.kafka
def test_a_policy_from_file_to_end_and_who_changed_what(house: Run, tmp_path: Path) -> None:
    activate(house)
    house("policy", "ramp", KEY, "--as", "ana", "--reason", "clean")
    house("policy", "pause", "--as", "ana", "--point", "onboarding.nudge", "--reason", "deploy")
    house("policy", "resume", "--as", "ana", "--point", "onboarding.nudge", "--reason", "deployed")
    changed = yaml.safe_load((DATA / f"{KEY}.yaml").read_text()) | {"ramp": [100, 1000]}
    (tmp_path / "v2.yaml").write_text(yaml.safe_dump(changed))
    house("policy", "propose", str(tmp_path / "v2.yaml"), "--as", "ana", "--reason", "all of them")
    house("policy", "approve", KEY, "--as", "ben", "--reason", "fine")
    house("policy", "activate", KEY, "--without-readiness", "--as", "ana", "--reason", "go")
    diff = house("policy", "diff", KEY, "1", "2").output
    assert "+- 1000" in diff
    house("policy", "rollback", KEY, "--as", "ana", "--reason", "too fast")
    house("policy", "kill", KEY, "--as", "ana", "--reason", "complaints")
    rows = json.loads(house("policy", "list", "--json").output)["policies"]
    assert [(row["key"], row["state"], row["rule_version"]) for row in rows] == [(KEY, "killed", 3)]
    house("policy", "retire", KEY, "--as", "ana", "--reason", "over")
    entries = json.loads(house("policy", "log", KEY, "--json").output)
    assert [(e["record"]["type"], e["record"]["actor"], e["record"]["reason"]) for e in entries] == [
        ("proposed", "Ana", "a nudge may help"),
        ("approved", "Ben", "read it"),
        ("activated", "Ana", "start"),
        ("ramped", "Ana", "clean"),
        ("paused", "Ana", "deploy"),
        ("resumed", "Ana", "deployed"),
        ("proposed", "Ana", "all of them"),
        ("approved", "Ben", "fine"),
        ("activated", "Ana", "go"),
        ("rolled_back", "Ana", "too fast"),
        ("killed", "Ana", "complaints"),
        ("retired", "Ana", "over"),
    ]
    assert "complaints" in house("policy", "log", KEY).output
    shown = json.loads(house("policy", "show", KEY, "--version", "2", "--json").output)
    assert shown["body"]["ramp"] == [100, 1000]
    assert [version["state"] for version in shown["versions"]] == ["retired", "retired", "retired"]


@pytest.mark.kafka
def test_a_bad_file_is_refused_before_it_reaches_the_log(house: Run) -> None:
    before = house("policy", "log", "--json").output
    result = house("policy", "propose", str(DATA / "bad_policy.yaml"), "--as", "ana", "--reason", "try")
    assert result.exit_code == 2
    assert "bad_policy.yaml:9: error: trigger.event: unknown event type 'page_viev'. Did you mean 'page_view'?" in result.output
    assert house("policy", "log", "--json").output == before


@pytest.mark.kafka
def test_validate_knows_what_lives_in_the_log(house: Run, tmp_path: Path) -> None:
    activate(house)
    assert house("policy", "validate", EXAMPLE).exit_code == 0
    rival = yaml.safe_load((DATA / f"{KEY}.yaml").read_text()) | {"key": "rival"}
    (tmp_path / "rival.yaml").write_text(yaml.safe_dump(rival, sort_keys=False))
    result = house("policy", "validate", str(tmp_path / "rival.yaml"), "--json")
    assert result.exit_code == 2
    assert [f["field"] for f in json.loads(result.output)["findings"] if not f["warning"]] == ["layer.range"]
    assert house("policy", "validate", str(tmp_path / "rival.yaml"), "--offline").exit_code == 0


@pytest.mark.kafka
def test_a_catalogue_is_edited_as_a_file(house: Run, tmp_path: Path) -> None:
    catalogue: dict[str, Any] = yaml.safe_load(house("catalogue", "show").output)
    catalogue["event_types"]["support_contact"] = {"budget_ms": 1000, "class": "low"}
    file = tmp_path / "catalogue.yaml"
    file.write_text(yaml.safe_dump(catalogue))
    assert "+  support_contact:" in house("catalogue", "apply", str(file), "--as", "ana", "--reason", "guardrails").output
    assert "support_contact" in json.loads(house("catalogue", "show", "--json").output)["event_types"]
    assert "0 warning(s)" in house("policy", "validate", EXAMPLE).output
    file.write_text("event_types: {page_view: {budget_ms: soon, clas: low}}\n")
    result = house("catalogue", "apply", str(file), "--as", "ana", "--reason", "oops")
    assert result.exit_code == 2
    assert "catalogue.yaml:1: error: event_types.page_view.clas: unknown key 'clas'. Did you mean 'class'?" in result.output


@pytest.mark.kafka
def test_keys_are_listed_and_revoked_by_name(house: Run) -> None:
    house("keys", "revoke", "ben", "--reason", "left")
    keys = {key["actor"]: key for key in json.loads(house("keys", "list", "--json").output)["keys"]}
    assert (keys["Ben"]["revoked"], keys["Ben"]["not_after"]) == (True, "2099-12-31T23:59:59.999999Z")
    assert keys["Ana"]["roles"] == ["author", "operator"]
    with pytest.raises(RefusedError) as refusal:
        house("policy", "approve", KEY, "--version", "1", "--as", "ben", "--reason", "still here")
    assert refusal.value.code == "revoked_key"


@pytest.mark.kafka
def test_what_is_missing_or_ambiguous_is_one_clear_line(house: Run) -> None:
    for arguments, said in [
        (
            ("policy", "kill", "--as", "ana", "--reason", "x"),
            "it is not clear what is meant. Give one of KEY, --point NAME and --everything",
        ),
        (("policy", "kill", KEY, "--reason", "x"), "no key is chosen to sign with (keys here: ana, ben, root). Say --as NAME"),
        (("policy", "kill", KEY, "--as", "eve", "--reason", "x"), "there is no key 'eve'"),
        (("policy", "kill", KEY, "--as", "ana", "--reason", "x"), "no policy 'onboarding_nudge_v1'"),
        (
            ("policy", "activate", KEY, "--as", "ana", "--reason", "x"),
            "no policy 'onboarding_nudge_v1'. See truelift policy list",
        ),
        (("keys", "new", "x", "--actor", "X", "--role", "king"), "unknown role 'king'. Known: author"),
    ]:
        with pytest.raises(CallerError) as error:
            house(*arguments)
        assert said in str(error.value)


def test_the_same_check_works_where_there_is_no_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["policy", "validate", EXAMPLE])
    assert result.exit_code == 0
    assert "checked against the built-in catalogue and not against the log" in result.output


def test_a_key_file_that_others_can_read_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUELIFT_DATA_DIR", str(tmp_path))
    from app.governance.keys import create_key, load_key

    settings = Settings()
    key = create_key(settings, "ana")
    assert load_key(settings, "ana").key_id == key.key_id
    path = settings.keys() / "ana.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(CallerError, match="chmod 600"):
        load_key(settings, "ana")
    with pytest.raises(CallerError, match="exists"):
        create_key(settings, "ana")
    with pytest.raises(CallerError, match="no name for a key"):
        create_key(settings, "../ana")


@pytest.mark.kafka
def test_a_model_s_change_is_reviewed_in_words(house: Run, tmp_path: Path) -> None:
    for version, leaf in enumerate((2, 7), start=1):
        body = gate()
        body["model"]["artefact"]["score"]["trees"][0]["value"][2] = leaf
        body["model"]["sha256"] = content_sha256(body["model"])
        (tmp_path / f"v{version}.yaml").write_text(yaml.safe_dump(body))
        house("policy", "propose", str(tmp_path / f"v{version}.yaml"), "--as", "ana", "--reason", "a better one")
    said = house("policy", "diff", KEY, "1", "2").output
    assert "model: score: 1 of the first 1 trees differ" in said
    assert "model: score: largest leaf 2 -> 7" in said
    assert "+  sha256: " in said
    assert "threshold" not in said
    told = json.loads(house("policy", "diff", KEY, "1", "2", "--json").output)
    assert len(told["model"]) == 2
