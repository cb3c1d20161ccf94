"""The Open Bandit sample as numbers: what was shown where to whom, and whether it was clicked."""

import csv
import gzip
from functools import cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "data" / "open_bandit_all.csv.gz"
COLUMNS = ("item", "position", "hour", "propensity", "f0", "f1", "f2", "f3")


@cache
def sample() -> tuple[np.ndarray, np.ndarray]:
    """(20,000 rows x 8 columns, clicks). A hashed user feature is the rank of its value by frequency."""
    with gzip.open(FILE, "rt", newline="") as opened:
        lines = list(csv.DictReader(opened))
    ranks = {name: _ranks([line[name] for line in lines]) for name in ("f0", "f1", "f2", "f3")}
    rows = [
        [
            float(line["item_id"]),
            float(line["position"]),
            float(line["timestamp"][11:13]) + float(line["timestamp"][14:16]) / 60,
            float(line["propensity"]),
            *(float(ranks[name][line[name]]) for name in ranks),
        ]
        for line in lines
    ]
    return np.array(rows), np.array([int(line["click"]) for line in lines])


def _ranks(values: list[str]) -> dict[str, int]:
    counts = {value: values.count(value) for value in set(values)}
    return {value: rank for rank, value in enumerate(sorted(counts, key=lambda value: (-counts[value], value)))}
