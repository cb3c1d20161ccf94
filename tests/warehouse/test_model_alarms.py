"""A model's alarms, from rows: what is planted in scores, features and outcomes is found, and clean rows raise nothing."""

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlglot

from app.analysis.alarms import Alarm
from app.analysis.alarms.features import written
from app.analysis.alarms.scored import Daily, Span
from app.contract.model import content_sha256
from app.errors import OperatorError
from app.warehouse import lake
from app.warehouse.dialects import translated
from app.warehouse.lake import drift_file
from tests.warehouse.world import START_US, World, policy

DAY_US = 86_400_000_000
FIRST = START_US // DAY_US
DAYS, A_DAY = 14, 60
SHIFTED_DAY = 10
MODEL: dict[str, Any] = {
    "kind": "logistic",
    "features": [{"name": "f", "path": "event.f"}],
    "artefact": {"A": {"coefficients": [0.0]}, "B": {"coefficients": [1.0]}},
    "choose": {"by": "softmax", "temperature": 1.0, "against_permille": 500},
}
BODY = policy(model={**MODEL, "sha256": content_sha256(MODEL)})


def scored(folder: Path, *, shift: float = 0.0, comes: float = 1.0, model_likes: float = 0.0, body: Any = BODY) -> World:
    """A fortnight; shift: of the scores from one day on; comes: how often what was predicted comes; model_likes: how much
    higher those score that the model has chosen for."""
    chance, made = random.Random(5), World(folder).begin(body)
    for at in range(DAYS):
        for number in range(A_DAY):
            chosen_by = ("weights", "model")[number % 2]
            score = chance.uniform(0.2, 0.6) + (shift if at >= SHIFTED_DAY else 0.0) + (model_likes if number % 2 else 0.0)
            unit, variant = f"u{at}-{number}", "AB"[number // 2 % 2]
            said = orjson.dumps({"scores": {"A": score, "B": score}, "chosen_by": chosen_by}).decode()
            made.decide(unit, variant, at + 0.5, chosen_by=chosen_by, model=said)
            made.expose(unit, variant, at + 0.501)
            if chance.random() < score * comes:
                made.outcome(unit, at + 0.6, variant=variant)
    return made.end().write()


def readings(world: World) -> dict[str, Alarm]:
    """By name, the first that fires, else the first."""
    found: dict[str, Alarm] = {}
    for alarm in world.lift().alarms:
        if alarm.name not in found or (alarm.fires and not found[alarm.name].fires):
            found[alarm.name] = alarm
    return found


OURS = ("score by arm", "score drift", "calibration")


def test_a_model_that_sees_the_same_people_and_is_right_raises_nothing(tmp_path: Path) -> None:
    found = readings(scored(tmp_path))
    assert {name: found[name].fires for name in OURS} == dict.fromkeys(OURS, False)
    assert not [name for name, alarm in found.items() if alarm.fires]


@pytest.mark.parametrize(
    ("planted", "name", "word"),
    [
        ({"shift": 0.15}, "score drift", "PSI"),
        ({"comes": 0.5}, "calibration", "were predicted"),
        ({"model_likes": 0.15}, "score by arm", "by who chose"),
    ],
    ids=["shift", "calibration", "arms"],
)
def test_what_is_planted_is_found_and_nothing_else(tmp_path: Path, planted: dict[str, float], name: str, word: str) -> None:
    found = readings(scored(tmp_path, **planted))
    assert [one for one in OURS if found[one].fires] == [name]
    assert word in found[name].said


def test_a_policy_without_a_model_is_asked_none_of_it(tmp_path: Path) -> None:
    assert not readings(scored(tmp_path, body=policy())).keys() & {*OURS, "feature drift"}


def test_what_the_last_replay_found_of_features_is_among_the_alarms(tmp_path: Path) -> None:
    world = scored(tmp_path)
    file = drift_file(world.settings.warehouse(), world.key)
    assert "feature drift" not in readings(world)
    file.parent.mkdir(parents=True)
    for last, fires in (([6] * 10, False), ([60, *[0] * 9], True)):
        days = {FIRST + at: [6] * 10 for at in range(DAYS)} | {FIRST + SHIFTED_DAY: last}
        daily = Daily("views", Span(FIRST, FIRST + 6), FIRST + DAYS - 1, days, {})
        file.write_bytes(orjson.dumps(written(world.key, (1, 1), [daily])))
        assert readings(world)["feature drift"].fires is fires
    file.write_bytes(orjson.dumps(written(world.key, (2, 3), [daily])))
    assert "feature drift" not in readings(world), "about other versions"
    file.write_bytes(b'{"versions":[1,1]}')
    with pytest.raises(OperatorError, match="truelift drift"):
        world.lift()


def test_read_back_from_bigquery_it_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = scored(tmp_path, shift=0.15)
    here = world.lift().alarms

    def there(name: str) -> str:
        (text,) = sqlglot.transpile(translated(name, "bigquery"), read="bigquery", write="duckdb")
        return text

    monkeypatch.setattr(lake, "sql_text", there)
    assert [(one.name, one.subject, one.fires) for one in world.lift().alarms] == [
        (one.name, one.subject, one.fires) for one in here
    ]
