"""The checkpoints that the governance log vouches for, and where their files are. A file that it does not name is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from app.errors import OperatorError
from app.governance.fold import Fold
from app.governance.log import Judged, history
from app.replay.checkpoints.file import read_digest, read_manifest
from app.replay.checkpoints.manifest import Manifest
from app.settings import Settings


class Vouched(NamedTuple):
    """A checkpoint record that was applied. path: where its file is, or should be."""

    digest: str
    path: Path
    seq: int
    ts: str
    actor: str

    @property
    def is_here(self) -> bool:
        return self.path.is_file()

    def manifest(self) -> Manifest:
        return read_manifest(self.path, self.digest)


async def vouched(settings: Settings) -> tuple[Fold, list[Vouched]]:
    """The log as it stands, and its checkpoints, the newest first."""
    fold, kept = await history(settings, _is_checkpoint)
    found = []
    for judged in reversed(kept):
        record = judged.record
        assert record is not None, "only such are kept"
        path = settings.checkpoints() / Path(str(record.body.get("file"))).name
        found.append(Vouched(record.body["digest"], path, record.seq, record.ts, record.actor))
    return fold, found


def _is_checkpoint(judged: Judged) -> bool:
    return judged.refusal is None and judged.record is not None and judged.record.type == "checkpoint"


def latest(settings: Settings, known: Sequence[Vouched]) -> Vouched:
    """The newest whose file is here. OperatorError when there is none."""
    found = next((checkpoint for checkpoint in known if checkpoint.is_here), None)
    if found is None:
        named = f"the governance log names {len(known)}" if known else "the governance log names none"
        raise OperatorError(
            f"there is no checkpoint in {settings.checkpoints()} ({named})",
            "Make one with `truelift replay checkpoint`, or set TRUELIFT_WAREHOUSE_DIR to where they are",
        )
    return found


def named(path: Path, known: Sequence[Vouched]) -> Vouched:
    """The file at `path`. OperatorError when the log does not vouch for what it holds."""
    digest = read_digest(path)
    found = next((checkpoint for checkpoint in known if checkpoint.digest == digest), None)
    if found is None:
        raise OperatorError(
            f"the checkpoint {path} has the digest {digest}, which no checkpoint record of the governance log names",
            "It was changed after it was made, or is another installation's: see `truelift replay checkpoints`",
        )
    return found._replace(path=path)
