"""Files with secrets in them: readable by their owner alone, whole or not there, and on the disk when the writer goes on.

Refuses to replace one that is there: a key that is overwritten is lost, and with it all that it has signed.
"""

import os
from pathlib import Path

OWNER_ONLY = 0o600
FOLDER_OWNER_ONLY = 0o700


def make_secret_folder(folder: Path) -> None:
    """With no rights for others, if it is not there yet."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True, mode=FOLDER_OWNER_ONLY)


def write_secret(file: Path, content: bytes) -> None:
    """FileExistsError when there is one. A crash in between leaves nothing under that name."""
    make_secret_folder(file.parent)
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.link(fresh, file)  # unlike a rename it fails where there is a file
    finally:
        fresh.unlink(missing_ok=True)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    """A name is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
