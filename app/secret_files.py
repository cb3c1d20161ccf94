"""Files with secrets in them: readable by their owner alone, whole or not there, and on the disk when the writer goes on.

Refuses to replace one that is there: a key that is overwritten is lost, and with it all that it has signed.
"""

import os
from pathlib import Path

from app.errors import OperatorError

# Of a secret's file. A group may read it: that is how Kubernetes hands secrets to a pod that is not root (fsGroup).
_EVERYBODY = 0o007
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


def refuse_readable(file: Path, named_by: str) -> None:
    """A secret that everybody on the machine can read is none. named_by: the setting that says where it is."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise OperatorError(f"{named_by} is {file}, which is not there: {error.strerror}", f"Correct {named_by}") from None
    if mode & _EVERYBODY:
        raise OperatorError(
            f"{named_by} is {file}, which everybody can read (mode {mode & 0o777:o})",
            f"Run chmod 600 {file} (a group may read it: 640)",
        )


def _sync(folder: Path) -> None:
    """A name is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
