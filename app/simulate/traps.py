"""The nine traps of a fixed horizon; peeking, the tenth, is about time (peeking.py). No world has any effect in it.

Each function says in what order things happened to the people, what a dashboard makes of it, and what the log says.
"""

from typing import Any

import numpy as np

from app.simulate.dashboard import charted
from app.simulate.people import Bools, People, Wholes, chance
from app.simulate.trap import Played, Trap, World
from app.simulate.written import Written, experiment

USUAL_PEOPLE = 4_000
# So much better is it to be slow, where slow beats instant.
SLOWER_LIFT = 0.3
# Where less is lost, and so less is to be seen.
MANY_PEOPLE = 10_000
RAMP_WEIGHTS = (0.1, 0.5)


def _written(people: People, converted: Bools, **changes: Any) -> Written:
    """Everybody is assigned, shown and in time, in one stratum, unless it is said."""
    everybody = np.ones(people.shape, dtype=np.bool_)
    plain = Written(
        arm=people.treated,
        stratum=np.zeros(people.shape, dtype=np.int64),
        there=everybody,
        claimed=everybody,
        shown=everybody,
        late=~everybody,
        device=people.device,
        early=people.week == 0,
        converted=converted,
    )
    return plain._replace(**changes)


def _converted(people: People, random: np.random.Generator) -> Bools:
    return chance(random, people.shape, people.rate)


def _some(people: People, random: np.random.Generator, share: float) -> Wholes:
    """How many of each repetition, each with that chance."""
    return random.binomial(people.shape[1], share, people.shape[0])


def inferred_exposure(people: People, random: np.random.Generator, world: World) -> Played:
    """Who is engaged scrolls to the slot. The control has nothing to show there, so its page views are taken for exposures."""
    converted = _converted(people, random)
    seen = chance(random, people.shape, np.where(people.engaged, 0.9, 0.3))
    shown = seen & people.treated if world == "broken" else seen
    return Played(
        charted(people.treated, seen | ~people.treated, converted), _written(people, converted, shown=shown, claimed=shown)
    )


def rerolls(people: People, random: np.random.Generator, world: World) -> Played:
    """Variants drawn anew at each session: whoever comes often has seen B at some time, and comes since they are engaged."""
    converted = _converted(people, random)
    sessions = 1 + random.poisson(np.where(people.engaged, 3.0, 0.5))
    ever_b = chance(random, people.shape, 1 - 0.5**sessions)
    moved = _some(people, random, 0.02) if world == "broken" else None
    written = _written(people, converted, rerolled=moved, visits=sessions)
    return Played(charted(ever_b, np.ones(people.shape), converted), written)


def latency_selection(people: People, random: np.random.Generator, world: World) -> Played:
    """B takes longer to decide; who waits on a slow connection is too late and gets the fallback. The dashboard drops them."""
    converted = _converted(people, random)
    slowness = np.where(people.slow, 0.9, 0.02) if world != "clean" else np.full(people.shape, 0.1)
    late = chance(random, people.shape, slowness * (people.treated if world != "clean" else 1.0))
    return Played(charted(people.treated, ~late, converted), _written(people, converted, late=late, shown=~late))


def duplicate_exposure(people: People, random: np.random.Generator, world: World) -> Played:
    """An exposure at each render: whoever renders often is counted often, with all conversions each time."""
    converted = _converted(people, random)
    times = 1 + random.poisson(np.where(people.engaged, 5.0, 2.0))
    again = _some(people, random, 0.03) if world == "broken" else None
    written = _written(people, converted, duplicates=again, renders=times)
    return Played(charted(people.treated, times, converted), written)


def ramp_mix(people: People, random: np.random.Generator, world: World) -> Played:
    """B begins with one in ten, of the keenest; half of everybody gets it when the crowd comes. Simpson's paradox."""
    later = people.week > 0
    treated = people.lot < np.where(later, RAMP_WEIGHTS[1], RAMP_WEIGHTS[0])
    converted = chance(random, people.shape, people.rate + np.where(later, 0.0, 0.10))
    stratum = later.astype(np.int64)
    return Played(charted(treated, np.ones(people.shape), converted), _written(people, converted, arm=treated, stratum=stratum))


def silent_drift(people: People, random: np.random.Generator, world: World) -> Played:
    """A rule upstream changes after the first week and lets in other people. The dashboard holds after against before."""
    device, converted = people.device, _converted(people, random)
    if world != "clean":
        moved = (people.week > 0) & chance(random, people.shape, 0.5)
        device = np.where(moved, 2, device)
        converted = chance(random, people.shape, people.rate + np.where(moved, 0.06, 0.0))
    return Played(charted(people.week > 0, np.ones(people.shape), converted), _written(people, converted, device=device))


def login_crossover(people: People, random: np.random.Generator, world: World) -> Played:
    """B asks to log in, so its logins are of all sorts; in A only the keen do. The dashboard knows users by their login."""
    converted = _converted(people, random)
    keen = np.where(people.engaged, 0.7, 0.2)
    login = chance(random, people.shape, np.where(people.treated, 0.8, keen))
    claimed, crossed = np.ones(people.shape, dtype=np.bool_), None
    if world == "broken":  # links are lost: the user is drawn for anew, and half of them get the other arm
        other = login & chance(random, people.shape, 0.5)
        claimed, crossed = ~other, other.sum(axis=1)
    written = _written(people, converted, claimed=claimed, crossovers=crossed, logs_in=login)
    return Played(charted(people.treated, login, converted), written)


def slower_or_instant(people: People, random: np.random.Generator, world: World) -> Played:
    """At once, people click at once; timed to their intent, they do it when it comes. In the end as many do."""
    converted = _converted(people, random)
    intent = people.engaged | chance(random, people.shape, 0.3)
    first_day = converted & chance(random, people.shape, np.where(people.treated, 0.25, 0.6))
    shown = intent | ~people.treated
    return Played(charted(people.treated, np.ones(people.shape), first_day), _written(people, converted, shown=shown))


def redirect(people: People, random: np.random.Generator, world: World) -> Played:
    """B is behind a redirect: of those on a slow connection many leave before anything is logged."""
    converted = _converted(people, random)
    lost = people.slow & people.treated & chance(random, people.shape, 0.8 if world != "clean" else 0.0)
    return Played(
        charted(people.treated, ~lost, converted), _written(people, converted, there=~lost, claimed=~lost, shown=~lost)
    )


_SAME = "no effect"
TRAPS: tuple[Trap, ...] = (
    Trap(
        "inferred-exposure", "B wins: those who saw B against all who opened the page", _SAME,
        "acknowledgements of the same slot in both arms; a control that is never acknowledged makes it invalid",
        "an arm is never acknowledged", False, USUAL_PEOPLE, experiment(), inferred_exposure,
    ),
    Trap(
        "rerolls", "B wins: who ever saw B comes more often", _SAME,
        "one variant a person, the first one drawn; whoever was moved all the same is an alarm",
        "rerolls", False, USUAL_PEOPLE, experiment(), rerolls,
    ),
    Trap(
        "latency-selection", "B wins: its late decisions are dropped, and slow users with them", _SAME,
        "late ones stay assigned, and are compared by intention to treat; lateness by arm is an alarm",
        "latency bias", False, MANY_PEOPLE, experiment(), latency_selection,
    ),
    Trap(
        "duplicate-exposure", "certain of chance: a row for each render, as if each were a person", _SAME,
        "each assignment once, however often it was shown", "duplicate exposures", False, USUAL_PEOPLE, experiment(),
        duplicate_exposure,
    ),
    Trap(
        "ramp-mix", "B loses: it got its people when the crowd came", _SAME,
        "compared within each version and step of the ramp: no alarm is needed", None, False, USUAL_PEOPLE,
        experiment(RAMP_WEIGHTS), ramp_mix,
    ),
    Trap(
        "policy-drift", "it went up after the change: other people came", _SAME,
        "arms of the same weeks; and the change of people is said", "covariate drift by device", False, USUAL_PEOPLE,
        experiment(), silent_drift,
    ),
    Trap(
        "login-crossover", "B loses: its logins are of all sorts, A's of the keen", _SAME,
        "the assignment goes with the person through the login; where it does not, crossovers are an alarm",
        "crossovers", False, USUAL_PEOPLE, experiment(), login_crossover,
    ),
    Trap(
        "slower-or-instant", "instant wins: more of it on the first day", _SAME,
        "everybody assigned, over the whole window: no alarm is needed", None, False, USUAL_PEOPLE,
        experiment(timed=True), slower_or_instant, SLOWER_LIFT,
    ),
    Trap(
        "redirect", "B wins: its slow users never arrived", _SAME, "nothing: invalid, the arms are not as large as drawn",
        "sample ratio mismatch", True, MANY_PEOPLE, experiment(), redirect,
    ),
)  # fmt: skip
