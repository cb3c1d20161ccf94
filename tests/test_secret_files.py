"""Files with secrets: whatever the umask, for their owner alone; never overwritten, never half there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import CallerError
from app.governance.keys import create_key, load_key
from app.secret_files import write_secret
from app.settings import Settings
from app.stream.certificates import Authority

# Writes 64 MiB as a secret and is killed by the limit on a file's size on the way.
WRITER = """
import pathlib, resource, signal, sys
from app.secret_files import write_secret
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
write_secret(pathlib.Path(sys.argv[1]), b"x" * (64 << 20))
"""


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that takes no right away."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("careless")
def test_what_is_secret_is_its_owners_whatever_the_umask(tmp_path: Path) -> None:
    settings = Settings(broker="b:1", keys_dir=tmp_path / "deep" / "keys")
    create_key(settings, "root")
    Authority(tmp_path / "tls").issue("somebody")
    assert mode(tmp_path / "deep" / "keys") == mode(tmp_path / "tls") == 0o700
    private = [tmp_path / "deep/keys/root.pem", tmp_path / "tls/ca.key", tmp_path / "tls/somebody.pem"]
    assert [mode(file) for file in private] == [0o600] * 3


def test_a_secret_is_never_overwritten(tmp_path: Path) -> None:
    write_secret(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError):
        write_secret(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
    settings = Settings(broker="b:1", keys_dir=tmp_path / "keys")
    key = create_key(settings, "ana")
    with pytest.raises(CallerError, match="exists"):
        create_key(settings, "ana")
    assert load_key(settings, "ana").key_id == key.key_id


def test_a_writer_that_dies_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    file = tmp_path / "key"
    done = subprocess.run([sys.executable, "-c", WRITER, str(file)], cwd=Path(__file__).parents[1], check=False)
    assert done.returncode < 0
    assert not file.exists()
    assert [mode(left) for left in tmp_path.iterdir()] == [0o600], "what it left is its owner's too"
    write_secret(file, b"the next one succeeds")
    assert file.read_bytes() == b"the next one succeeds"
