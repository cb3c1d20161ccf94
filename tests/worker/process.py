"""The worker processes of these tests are those of the fire drill."""

from pathlib import Path

from app.chaos.worker import WorkerProcess, environment

__all__ = ["ROOT", "WorkerProcess", "environment"]

ROOT = Path(__file__).parents[2]
