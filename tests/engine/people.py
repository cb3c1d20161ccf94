"""A cluster whose units are people: devices act before login, log in, and go on with either id, in any order of partitions.

Owns who is whose: every device belongs to one user, but for one that two users share. Before its login a device sends the
anonymous id alone; afterwards both, or (an old tab) still the anonymous id alone.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from app.contract.links import Adopt, Ask, read_link
from app.contract.topics import IDENTITY_LINKS
from tests.engine.cluster import Cluster
from tests.engine.world import Json

USERS = tuple(f"u-{number}" for number in range(8))
DEVICES = {f"d-{number}": (USERS[number % len(USERS)],) for number in range(20)} | {"d-shared": USERS[:2]}


class People(Cluster):
    """logins: by device, the users who have logged in on it, in order."""

    def __init__(self, seed: int, scalings: int = 0) -> None:
        self.logins: defaultdict[str, list[str]] = defaultdict(list)
        super().__init__(seed, scalings)

    def weights(self) -> dict[Callable[[], None], float]:
        return super().weights() | {self._signal: 6, self._browse: 22, self._login: 5, self._acknowledge: 10}

    def asks(self) -> int:
        return self._links(Ask)

    def adoptions(self) -> int:
        return self._links(Adopt)

    def _links(self, kind: type[Any]) -> int:
        values = (one.value for (topic, _), records in self.topics.items() if topic == IDENTITY_LINKS for one in records)
        return sum(isinstance(read_link(value), kind) for value in values)

    def _browse(self) -> None:
        device = self.random.choice(list(DEVICES))
        self._send(self._of_device(self.random.choice(("page_view", "page_view", "feature_used", "billing_intent")), device))

    def _login(self) -> None:
        """Identify and the next page view leave the device together, in either order."""
        device = self.random.choice(list(DEVICES))
        self.logins[device].append(self.random.choice(DEVICES[device]))
        together = [self._of_device(name, device, both=True) for name in ("identify", "page_view")]
        for envelope in self.random.sample(together, self.random.choice((1, 2, 2))):
            self._send(envelope)

    def _of_device(self, name: str, device: str, *, both: bool | None = None) -> Json:
        users = self.logins.get(device)
        if users and (both or (both is None and self.random.random() < 0.6)):
            return self._envelope(name, users[-1]) | {"anonymous_id": device}
        return self._envelope(name, f"anon:{device}")

    def _acknowledge(self) -> None:
        """As a client does: by what was decided, with the ids that the device has now."""
        decided = [journal for journal in self._decided[-12:] if journal["unit"].startswith("anon:d-")]
        if not decided or self.random.random() < 0.5:
            super()._acknowledge()
            return
        journal = self.random.choice(decided)
        decision = self.random.choice(journal["decisions"])
        said = {name: decision[name] for name in ("variant", "assignment_id", "rule_version")} | {"key": decision["policy"]}
        if decision["assignment_id"] is not None and decision["variant"] is not None:
            envelope = self._of_device("experiment_exposure", journal["unit"].removeprefix("anon:"))
            self._send(envelope | {"experiment": said})

    def key_of(self, envelope: Json) -> str:
        """Edges key an identify by the device, and an acknowledgement by the unit that its token names, if it has one."""
        device, user = envelope["anonymous_id"], envelope["user_id"]
        by_device = envelope["event_name"] == "identify" or (
            envelope["event_name"] == "experiment_exposure" and self.random.random() < 0.5
        )
        return f"anon:{device}" if device is not None and (user is None or by_device) else str(user)
