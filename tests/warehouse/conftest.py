"""One warehouse for a session's tests, a policy and people of its own for each; and lifts with a rule taken out of the SQL."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.analysis.lift_report import LiftReport
from app.warehouse import lake
from tests.warehouse.world import World

_serial = itertools.count(1)

MakeWorld = Callable[..., World]
Without = Callable[..., LiftReport]


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warehouse")


@pytest.fixture
def world(warehouse: Path) -> World:
    """Shares its warehouse with the worlds of other tests, as policies do."""
    return World(warehouse, key=f"policy_{next(_serial)}")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """The lift of a world, with one piece of one SQL file replaced: what a rule is good for shows when it is missing."""
    real = lake.sql_text

    def look(world: World, file: str, rule: str, instead: str = "", **request: Any) -> LiftReport:
        assert rule in real(file), f"{file}.sql has no {rule!r}"
        with monkeypatch.context() as patch:
            patch.setattr(lake, "sql_text", lambda name: real(name).replace(rule, instead) if name == file else real(name))
            return world.lift(**request)

    return look
