"""The faults of a drill: one table of kind, how it is done, and what its recovery means.

Each function does its fault and returns when the work goes on: the seconds from the fault to the first record that every
partition decided after it. Each waits on the journal, on a process or on the wire, never on time.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

from app.chaos import broker_faults, network_faults, record_faults, worker_faults
from app.chaos.site import Site
from app.stream.faults import POINTS

# Faults of one lane come one after the other, those of different lanes at the same time.
Lane = Literal["workers", "brokers", "records"]


class Fault(NamedTuple):
    """inject: seconds until the work went on; None: it did not come about. possible: whether there is something for it now."""

    kind: str
    lane: Lane
    how: str
    recovered: str
    inject: Callable[[Site], Awaitable[float | None]]
    possible: Callable[[Site], bool] = lambda _: True


def _has_spare(site: Site) -> bool:
    return site.spare() is not None


def _has_one_more(site: Site) -> bool:
    return sum(post.manned for post in site.posts) > site.plan.workers


def _has_two(site: Site) -> bool:
    return sum(post.manned for post in site.posts) > 1


DECIDES = "every partition decides again"
IN_SYNC = "every partition decides, every replica is in sync again"

FAULTS: tuple[Fault, ...] = (
    Fault("worker_killed", "workers", "SIGKILL, started again", DECIDES, worker_faults.kill),
    Fault("worker_stopped", "workers", "SIGTERM, started again", f"it drains; {DECIDES}", worker_faults.stop),
    Fault(
        "worker_frozen", "workers", "SIGSTOP past the session, then SIGCONT",
        "others take its partitions over; the zombie is fenced and ends", worker_faults.freeze,
    ),
    *(
        Fault(
            f"killed_{point}", "workers", f"SIGKILL to itself where a commit is {point}", DECIDES,
            partial(worker_faults.kill_at, point),
        )
        for point in POINTS
    ),
    Fault(
        "disk_lost", "workers", "SIGKILL, started again without stores", f"they are restored; {DECIDES}",
        worker_faults.lose_disk,
    ),
    Fault(
        "disk_full", "workers", "its disk takes no more", f"it ends with that message; with room again, {DECIDES}",
        worker_faults.fill_disk,
    ),
    Fault("worker_added", "workers", "one more", f"it has partitions; {DECIDES}", worker_faults.add, _has_spare),
    Fault(
        "worker_removed", "workers", "SIGTERM, and none comes after it", "others take its partitions over",
        worker_faults.remove, _has_one_more,
    ),
    Fault("connections_cut", "workers", "all of a worker's, by resets or a hole", DECIDES, network_faults.cut),
    Fault(
        "commit_answer_lost", "workers", "the transaction is committed, its worker not told", DECIDES,
        network_faults.lose_commit_answer,
    ),
    Fault(
        "revoked_in_commit", "workers", "a member is evicted; another hears of it with a commit on its way", DECIDES,
        network_faults.revoke_in_commit, _has_two,
    ),
    Fault("broker_killed", "brokers", "SIGKILL, started again at once", IN_SYNC, broker_faults.kill),
    Fault("broker_restarted", "brokers", "SIGTERM, started again", IN_SYNC, broker_faults.restart),
    Fault("poison", "records", "records on which the code raises", "each is set aside as poison", record_faults.send_poison),
    Fault(
        "governance_changed", "records", "a version, a ramp step, pause, resume, kill, roll back",
        "every partition decides by it", record_faults.change_governance,
    ),
)  # fmt: skip


def faults_of(brokers: Sequence[int]) -> list[Fault]:
    """With one kind for each broker of a cluster: all of them are lost in turn."""
    losses = [
        Fault(
            f"broker_{node}_lost", "brokers", "SIGKILL, away until all goes on without it",
            "leaders and coordinators move; then every replica is in sync again", partial(broker_faults.lose, node),
        )
        for node in brokers
    ]  # fmt: skip
    return [*FAULTS, *(losses if len(losses) > 1 else ())]
