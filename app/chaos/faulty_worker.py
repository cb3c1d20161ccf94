"""`truelift worker` with faults planted in it: `python -m app.chaos.faulty_worker PLANTED`, PLANTED as JSON.

plan: fields of FaultPlan. plan_file: read anew at each SIGUSR1, so that a running worker can be told where to die.
raise_on: the engine raises on every record whose bytes contain that text. log_level: as of the command.
"""

import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from app.engine import process as engine
from app.errors import TrueliftError
from app.settings import Settings
from app.stream.faults import FaultPlan


def plant_failure(text: str) -> None:
    """An error of our own code on some records: they are poison."""
    names = vars(engine)
    sound = names["decide"]

    def broken(signal: Any, record: Any, *others: Any) -> Any:
        if text.encode() in record.value:
            raise ZeroDivisionError(f"planted on {record.topic}-{record.partition} offset {record.offset}")
        return sound(signal, record, *others)

    names["decide"] = broken


def obey(plan: FaultPlan, file: Path) -> None:
    """SIGUSR1: the worker takes what `file` says as its plan."""
    signal.signal(signal.SIGUSR1, lambda *_: plan.change(**json.loads(file.read_text())))


def main() -> None:
    from agents.commands import run_worker

    planted = json.loads(sys.argv[1])
    if "raise_on" in planted:
        plant_failure(planted["raise_on"])
    plan = FaultPlan(**planted.get("plan", {}))
    if "plan_file" in planted:
        obey(plan, Path(planted["plan_file"]))
    # Expected at each transaction that follows another closely, and repeated within milliseconds.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    try:
        run_worker(Settings(), planted.get("log_level", "warning"), faults=plan)
    except TrueliftError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
