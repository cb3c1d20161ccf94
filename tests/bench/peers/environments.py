"""What the peers run in: a venv for each Python one, a jar for Kafka Streams. Made once, from pinned files, in a cache folder.

Refuses: the project's own environment. A peer's dependencies never meet ours.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILD_SECONDS = 600


class NotAvailable(Exception):  # noqa: N818 -- a peer that cannot be built here is skipped, not an error
    """Why a peer is left out."""


def python_of(name: str, cache: Path) -> Path:
    """The interpreter of the venv that requirements/<name>.txt describes."""
    pinned = HERE / "requirements" / f"{name}.txt"
    folder = cache / f"{name}-{_digest(pinned)}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], f"the environment of {name}")
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(pinned)]
        _run(install, f"the packages of {name}")
        (folder / "made").touch()
    return python


def pinned_version(name: str, package: str) -> str:
    found = re.search(rf"^{re.escape(package)}==(\S+)$", (HERE / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"requirements/{name}.txt does not pin {package}: add {package}==VERSION")
    return found[1]


def kafka_streams_version() -> str:
    found = re.search(r"<kafka.version>(.+)</kafka.version>", (HERE / "kafka_streams" / "pom.xml").read_text())
    if found is None:
        raise ValueError("kafka_streams/pom.xml has no <kafka.version>")
    return found[1]


def class_path(cache: Path) -> str:
    """Of the Kafka Streams program, built by Maven."""
    source = HERE / "kafka_streams"
    folder = cache / f"kafka-streams-{_digest(*sorted(path for path in source.rglob('*') if path.is_file()))}"
    if not (folder / "made").exists():
        maven = shutil.which("mvn")
        if maven is None:
            raise NotAvailable("there is no Maven (mvn) to build it with")
        shutil.copytree(source, folder, dirs_exist_ok=True)
        _run([maven, "--quiet", "--batch-mode", "--file", str(folder / "pom.xml"), "package"], "the Kafka Streams program")
        (folder / "made").touch()
    return f"{folder}/target/kafka-streams-peer.jar:{folder}/target/libs/*"


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise NotAvailable(f"{what} cannot be made: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
