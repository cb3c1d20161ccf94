"""The command as a script meets it: standard output, and the one line and exit code of an error."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from app import cli

Figures = Callable[..., dict[str, Any]]
Refusal = Callable[..., str]


@pytest.fixture
def figures() -> Figures:
    """Runs `truelift stats ... --json` and gives what it prints."""

    def run(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli.app, ["stats", *arguments, "--json"])
        assert result.exit_code == 0, result.output + repr(result.exception)
        found: dict[str, Any] = orjson.loads(result.stdout)
        return found

    return run


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Runs the whole command, which must end with exit code 2 and print nothing but an error; gives the error."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["truelift", "stats", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert ended.value.code == 2
        assert shown.out == ""
        assert "Traceback" not in shown.err
        return shown.err

    return run
