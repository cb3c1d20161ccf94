"""Small demos as a person starts them: one that shows everything, and one that misses something and says so."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.stream.broker_folder import folder_of
from app.stream.ports import kept_ports

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

SMALL = ["--purchases", "2000", "--users", "400", "--rate", "400"]
LIMIT_SECONDS = 300


def demo(data_dir: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options),
        capture_output=True,
        text=True,
        env=environment(data_dir, **more),
        timeout=LIMIT_SECONDS,
        check=False,
    )


def command(*options: str) -> list[str]:
    return [sys.executable, "-c", "from app.cli import main; main()", "demo", *SMALL, *options]


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRUELIFT_")}
    return own | {"TRUELIFT_DATA_DIR": str(data_dir), **more}


def test_a_small_demo_shows_everything_and_leaves_no_process_behind(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every expectation holds" in done.stdout
    assert "lost 0, duplicated 0, rerolled 0" in done.stdout
    assert folder_of(tmp_path / "demo").running() is None
    assert not processes_of(tmp_path)


def test_a_demo_with_the_console_ends_with_its_address_and_goes_on_until_it_is_told_to_end(tmp_path: Path, broker: str) -> None:
    port = kept_ports(tmp_path / "console-port.json", ["console"], {})["console"]
    more = {"TRUELIFT_BROKER": broker, "TRUELIFT_CONSOLE_PORT": str(port)}
    with subprocess.Popen(
        command("--console"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(tmp_path, **more)
    ) as process:
        assert process.stdout is not None
        text = "".join(iter(lambda: _line(process), ""))
        assert f"console http://127.0.0.1:{port}" in text, text
        passphrase = re.search(r"log in as ola \(operator\), passphrase (\S+)", text)
        assert passphrase is not None, text
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"origin": f"http://127.0.0.1:{port}"}) as client:
            assert client.post("/login", data={"name": "ola", "passphrase": passphrase[1]}).status_code == 303
            assert "tips_wording_v1" in client.get("/policies").text
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0, text + rest
    assert not processes_of(tmp_path)


def _line(process: "subprocess.Popen[str]") -> str:
    """The next one; empty at the one that says how it is ended, and at the end."""
    assert process.stdout is not None
    line = process.stdout.readline()
    return "" if line.startswith("Ctrl-C ends it") else line


def test_a_demo_without_its_kill_fails_and_names_what_is_missing(tmp_path: Path, broker: str) -> None:
    """The negative control, on a cluster that is there already."""
    done = demo(tmp_path, "--skip", "kill", "--skip", "drill", TRUELIFT_BROKER=broker)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "reason killed never occurred" in done.stdout
    assert not processes_of(tmp_path)


def test_an_unknown_scene_is_refused(tmp_path: Path) -> None:
    done = demo(tmp_path, "--skip", "interval")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no scene 'interval'")


def processes_of(data_dir: Path) -> list[str]:
    """Processes whose command line or environment names the folder."""
    wanted = str(data_dir).encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if wanted in said:
            found.append(process.name)
    return found
