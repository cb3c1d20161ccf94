"""Validity alarms: what would make a lift untrue, looked for before any arm is held against another.

    facts = gather(lake, found, join)      # counts alone, by SQL, of the tables that the join made
    readings = alarms(facts)               # pure: one reading for each question that the facts can answer

No fact of these holds an outcome by arm, so that alarms may be read at any time. Those that need outcomes by arm are in
effects.py, and are asked at looks alone.
"""

from app.analysis.alarms.alarm import Alarm, invalid
from app.analysis.alarms.facts import Facts, gather
from app.analysis.alarms.table import ALARMS, alarms

__all__ = ["ALARMS", "Alarm", "Facts", "alarms", "gather", "invalid"]
