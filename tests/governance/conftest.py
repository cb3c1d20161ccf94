"""A governance log in memory: real keys, real signatures, the real fold; only Kafka is left out."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.contract.times import SECOND_US, format_us
from app.governance import drafts
from app.governance.drafts import Draft, Drafter, register_key
from app.governance.fold import Fold
from app.governance.moves import ROLES_OF
from app.governance.records import Record
from app.governance.signatures import encode, key_id_of, sign
from app.governance.state import State

NOW_US = 1_795_342_530_123_456
KEY = "onboarding_nudge_v1"
EXAMPLE = Path(__file__).parents[1] / "data" / "onboarding_nudge_v1.yaml"

PEOPLE: dict[str, tuple[str, ...]] = {
    "root": ("root",),
    "ana": ("author",),
    "otto": ("operator",),
    "ben": ("approver",),
    "sara": ("sensitive_approver",),
    "guard": ("guardian",),
    "ramper": ("ramp",),
}
ROLE_HOLDER = {role: name for name, roles in PEOPLE.items() for role in roles}


class Ledger:
    """Appends records that are signed on the head, as a writer would, and keeps what was appended."""

    def __init__(self) -> None:
        self.private = {name: Ed25519PrivateKey.generate() for name in PEOPLE}
        self.root = encode(self.public("root"))
        self.fold = Fold(self.root)
        self.entries: list[tuple[int, int, bytes]] = []
        self.now_us = NOW_US
        self.start = self.fold.state
        for name, roles in PEOPLE.items():
            assert self.write("root", register_key(self.public(name), name, roles)) is None  # type: ignore[arg-type]

    def rewound(self, state: State) -> "Ledger":
        """The same ledger at an earlier state: hypothesis needs every example to start alike."""
        self.fold.state = state
        return self

    def public(self, name: str) -> bytes:
        return self.private[name].public_key().public_bytes_raw()

    def draft(self, name: str, drafter: Drafter | Draft, role: str | None = None) -> Record:
        """The unsigned record of `name` at the head."""
        draft = drafter if isinstance(drafter, Draft) else drafter(self.fold.state)
        held = PEOPLE.get(name, ())
        chosen = role or next((r for r in ROLES_OF[draft.type] if r in held), held[0])
        return Record(
            self.fold.seq + 1, self.fold.head_hash, draft.type, draft.policy, draft.rule_version, draft.body,
            name, chosen, "because", format_us(self.now_us), key_id_of(self.public(name)), "",
        )  # fmt: skip

    def signed(self, name: str, drafter: Drafter | Draft, role: str | None = None, **changes: Any) -> Record:
        return sign(self.draft(name, drafter, role)._replace(**changes), self.private[name])

    def write(self, name: str, drafter: Drafter | Draft, role: str | None = None, **changes: Any) -> str | None:
        return self.put(self.signed(name, drafter, role, **changes).raw())

    def put(self, raw: bytes) -> str | None:
        self.now_us += SECOND_US
        entry = (len(self.entries), self.now_us, raw)
        self.entries.append(entry)
        return self.fold.apply(*entry)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def make_ledger() -> type[Ledger]:
    return Ledger


@pytest.fixture
def full_ledger(body: dict[str, Any]) -> Ledger:
    """A log with a record of most types, all applied."""
    ledger = Ledger()
    steps: list[tuple[str, Drafter]] = [
        ("otto", drafts.catalogue(ledger.fold.catalogue.model_dump(mode="json"))),
        ("ana", drafts.propose(body)),
        ("ben", drafts.approve(KEY, 1)),
        ("otto", drafts.activate(KEY, 1)),
        ("ramper", drafts.ramp(KEY, 250)),
        ("guard", drafts.pause(KEY, {"evidence": "error_rate"})),
        ("otto", drafts.resume(KEY)),
        ("otto", drafts.look(KEY, 1, {"look": 1})),
        ("otto", drafts.switch("killed", "onboarding.nudge")),
        ("otto", drafts.kill(KEY)),
    ]
    for who, drafter in steps:
        assert ledger.write(who, drafter) is None
    ledger.start = ledger.fold.state
    return ledger


@pytest.fixture
def body() -> dict[str, Any]:
    """The worked example, as its file has it."""
    return dict(yaml.safe_load(EXAMPLE.read_text()))
