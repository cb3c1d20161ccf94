"""`truelift worker` with what a test plants in it, as JSON in one variable that the product does not know.

plan: fields of FaultPlan. log_level: as of the command.
raise_on: the engine raises on every record whose bytes contain that text.
"""

import json
import logging
import os
import sys
from typing import Any

from app.engine import process as engine
from app.errors import TrueliftError
from app.settings import Settings
from app.stream.faults import FaultPlan


def plant_failure(text: str) -> None:
    sound = engine.decide

    def broken(signal: Any, record: Any, *others: Any) -> Any:
        if text.encode() in record.value:
            raise ZeroDivisionError(f"planted on {record.topic}-{record.partition} offset {record.offset}")
        return sound(signal, record, *others)

    engine.decide = broken  # type: ignore[assignment]


def main() -> None:
    from agents.commands import run_worker

    faults = json.loads(os.environ.get("WORKER_TEST_FAULTS", "{}"))
    if "raise_on" in faults:
        plant_failure(faults["raise_on"])
    plan = {"faults": FaultPlan(**faults["plan"])} if "plan" in faults else {}
    # Expected at each transaction that follows another closely, and repeated within milliseconds.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    try:
        run_worker(Settings(), faults.get("log_level", "warning"), **plan)
    except TrueliftError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
