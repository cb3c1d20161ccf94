"""The small history with people in it: devices act, log in and go on; what was shown is acknowledged by old or new ids."""

from collections import defaultdict
from typing import Any

import orjson

from tests.replay.world import World

# The last one is shared by two users.
DEVICES = 24
USERS = 16
LOGIN_SHARE = 0.12


class LoginsWorld(World):
    """users_on: by device, who has logged in, in order."""

    def __init__(self, start_ms: int, **changes: Any) -> None:
        self.users_on: defaultdict[str, list[str]] = defaultdict(list)
        super().__init__(start_ms, users=USERS, **changes)

    def _random_signal(self, ms: int) -> None:
        super()._random_signal(ms)
        device = f"d-{self.random.randrange(DEVICES)}"
        if self.random.random() < LOGIN_SHARE:
            self._login(ms, device)
        else:
            self._act(ms, device)

    def _login(self, ms: int, device: str) -> None:
        """Identify and the next page view are appended together; which one is consumed first is chance."""
        number = int(device.removeprefix("d-"))
        users = self.users[:2] if number == DEVICES - 1 else [self.users[number % USERS]]
        self.users_on[device].append(self.random.choice(users))
        user = self.users_on[device][-1]
        for name in ("identify", "page_view"):
            unit = f"anon:{device}" if name == "identify" else user
            raw = self.signal(ms, user, name, anonymous_id=device)
            self.push(ms + self.random.randrange(4), f"events.{name}", unit.encode(), raw)

    def _act(self, ms: int, device: str) -> None:
        name = self.random.choice(("page_view", "page_view", "feature_used", "billing_intent"))
        users = self.users_on.get(device)
        user = users[-1] if users and self.random.random() < 0.7 else None
        raw = self.signal(ms, user, name, anonymous_id=device, session_id=f"s-{device}")  # type: ignore[arg-type]
        unit = f"anon:{device}" if user is None else user
        self.push(ms, f"events.{name}", unit.encode(), raw)

    def _acknowledge(self, journal: dict[str, Any], ms: int) -> None:
        """Long after the decision, by one of the ids that the device has then."""
        unit = journal["unit"]
        if unit is None or not unit.startswith("anon:"):
            super()._acknowledge(journal, ms)
            return
        device = unit.removeprefix("anon:")
        for decision in journal["decisions"]:
            if decision["variant"] is None or self.random.random() < 0.3:
                continue
            said = {name: decision[name] for name in ("variant", "assignment_id", "rule_version")} | {"key": decision["policy"]}
            at = ms + self.random.randrange(100, 12_000)
            self.push(at, "device", device.encode(), orjson.dumps(said))

    def _arrive(self, ms: int, topic: str, key: bytes | None, value: bytes, partition: int) -> None:
        """What a device renders is sent with the ids that it has by then."""
        if topic != "device":
            super()._arrive(ms, topic, key, value, partition)
            return
        assert key is not None
        device = key.decode()
        users = self.users_on.get(device)
        user = users[-1] if users else None
        unit = user if user is not None and self.random.random() < 0.5 else f"anon:{device}"
        properties = {"surface": "web", "decision_to_render_ms": 12.5, "rendered_ts": None}
        said = orjson.loads(value)
        raw = self.signal(ms, user, "experiment_exposure", anonymous_id=device, experiment=said, properties=properties)  # type: ignore[arg-type]
        self.push(ms, "events.experiment_exposure", unit.encode(), raw)
