"""How a worker ends when something is in doubt: one line in the log, an exit code of its own, at once.

Owns: the codes, the exit, and telling its witnesses (the successor shows how this process ended). Refuses: cleaning up. Nothing
that runs in a doubtful process can make it less doubtful; Kafka keeps what was committed, the store keeps what was applied, and
the replacement reads both (crash-only software).
"""

import asyncio
import contextlib
import enum
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from aiokafka.errors import KafkaError

from app.errors import TrueliftError
from app.reach import missing_right

log = logging.getLogger(__name__)

# A process ends once: these are its own, whatever app runs in it.
_witnesses: list[Callable[[str], None]] = []


class ExitCode(enum.IntEnum):
    """What a supervisor sees. All but OPERATOR and INTERNAL: start it again."""

    OPERATOR = 2  # a topic, a disk, a broker address: a person must act first
    KAFKA = 69  # the cluster answered with an error, or not at all
    INTERNAL = 70  # our own bug, or that of an agent
    STORE_DAMAGED = 74  # the next start sets the store aside and rebuilds it
    FENCED = 75  # another worker owns the partitions now
    DRAIN_TIMEOUT = 76  # the work in hand did not end in time; it was not committed


class FatalError(Exception):
    """Ends the process with `code`. Raised where a caller can still add nothing to it."""

    def __init__(self, code: ExitCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def code_of(error: BaseException) -> int:
    """The exit code that `error` ends the process with."""
    if isinstance(error, FatalError):
        return error.code
    if isinstance(error, TrueliftError):
        return error.exit_code
    return ExitCode.KAFKA if isinstance(error, KafkaError | OSError) else ExitCode.INTERNAL


def witness(note: Callable[[str], None]) -> None:
    """`note` gets the name of the exit code (small letters) when this process dies by one."""
    _witnesses.append(note)


@contextlib.contextmanager
def ends_process(what: str) -> Iterator[None]:
    """Whatever fails inside ends the process; a cancellation does not."""
    try:
        yield
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 -- the one place where everything is caught, and nothing survives it
        die(what, error)


def die(what: str, error: BaseException) -> NoReturn:
    """End the process. No `finally` runs and no buffer of a client is flushed: they belong to the doubt."""
    error = missing_right(error) or error
    code = code_of(error)
    expected = isinstance(error, FatalError)
    if isinstance(error, TrueliftError):
        # A person must act: the one line that the command would print, and nothing around it to be read past.
        sys.stderr.write(f"error: {error}\n")
    else:
        log.critical("%s: %s (exit code %d)", what, error if expected else repr(error), code, exc_info=not expected and error)
    for note in _witnesses:
        note(ExitCode(code).name.lower())
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    logging.shutdown()
    os._exit(code)
