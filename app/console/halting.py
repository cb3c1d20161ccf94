"""How quickly a kill or a pause took effect: from the log's append to the last treated decision, partition by partition.

A partition's governance offsets never go back, so its first record by the stop proves that nobody is treated there after it. A
partition without a record since has proved nothing, and is said to be quiet. The worker's clock is held against the broker's.
"""

from app.console.markup import Html
from app.console.parts import notice
from app.console.shared import Visit
from app.console.store import PLACES

HALTS = ("killed", "paused")


async def stopped(visit: Visit, key: str) -> Html | None:
    """None where nothing is stopped now."""
    log = visit.shared.governed.state.policies[key]
    if log.current is None or log.current.state not in HALTS:
        return None
    records = visit.shared.governed.of(key)
    halt = next(j for j in records if j.refusal is None and j.record and j.record.policy == key and j.record.type in HALTS)
    assert halt.record is not None
    rows = visit.shared.rows
    after = await rows(
        "SELECT d.place, d.decided_us, j.governance_offset FROM decisions d JOIN journal j USING(place) "
        "WHERE d.policy = ? AND d.treated = 1 AND d.decided_us >= ?",
        (key, halt.append_us),
    )
    proved = await rows("SELECT DISTINCT partition FROM governed WHERE governance_offset >= ?", (halt.offset,))
    last_ms = max((decided_us - halt.append_us for _, decided_us, by in after if by < halt.offset), default=0) / 1_000
    outrun = [place for place, _, by in after if by >= halt.offset]
    partitions = len(visit.shared.feeding.partitions)
    who = f"{halt.record.type} by {halt.record.actor}: {halt.record.reason}. "
    if outrun:
        first = outrun[0]
        return notice("bad", who, f"{len(outrun)} treated after it, the first at {first // PLACES}:{first % PLACES}")
    quiet = partitions - len(proved)
    said = f"{len(proved)} of {partitions} partitions decide by it"
    said += f", {quiet} had nothing to decide since" if quiet else ""
    if not proved:
        return notice("info", who, said)
    return notice("good", who, f"Treatment stopped {last_ms:,.0f} ms after the record; {said}.")
