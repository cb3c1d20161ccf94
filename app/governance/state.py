"""What the log adds up to: frozen values. A record gives a new State; nothing is changed in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from app.contract.catalogue import DEFAULT_CATALOGUE, Catalogue
from app.contract.policy import Policy
from app.governance.moves import Role, SwitchState, VersionState
from app.governance.places import Place, place_of
from app.governance.signatures import key_id_of
from app.governance.topology import Partitions

ROOT_ACTOR = "root"
# In these states a version holds its decision point and its range of the layer; a killed one has freed them for a replacement.
LIVING: tuple[VersionState, ...] = ("active", "paused")
IN_FORCE: tuple[VersionState, ...] = ("active", "paused", "killed")


class Key(NamedTuple):
    """not_after: RFC 3339, None for no end. A revoked key stays revoked."""

    key_id: str
    public_key: bytes
    actor: str
    roles: tuple[Role, ...]
    not_after: str | None
    revoked: bool


class Approval(NamedTuple):
    actor: str
    role: Role
    what_if_digest: str | None


class Version(NamedTuple):
    """One rule version. body is the raw mapping as proposed, policy the same parsed."""

    number: int
    state: VersionState
    body: dict[str, Any]
    policy: Policy
    proposer: str
    approvals: tuple[Approval, ...] = ()
    activated: bool = False  # ever


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """All versions of one policy and what is in force. coverage_permille and phase belong to the version in force.

    drill: inside a drill. killed_by_drill: every kill since the version was active was the drill's own.
    """

    key: str
    versions: Mapping[int, Version] = field(default_factory=lambda: MappingProxyType({}))
    in_force: int | None = None
    phase: int = 0
    coverage_permille: int = 0
    drill: bool = False
    killed_by_drill: bool = False

    @property
    def newest(self) -> int:
        return max(self.versions, default=0)

    @property
    def current(self) -> Version | None:
        return None if self.in_force is None else self.versions[self.in_force]

    def with_version(self, version: Version, **changes: Any) -> Self:
        versions = MappingProxyType({**self.versions, version.number: version})
        return replace(self, versions=versions, **changes)


@dataclass(frozen=True, slots=True)
class State:
    """seq, head_hash: of the last applied record. switches: "*" or "point:<name>" -> paused | killed, those that are on."""

    root_public_key: bytes
    seq: int
    head_hash: str
    keys: Mapping[str, Key]
    catalogue: Catalogue
    policies: Mapping[str, PolicyLog]
    switches: Mapping[str, SwitchState]
    partitions: Partitions

    def with_policy(self, log: PolicyLog) -> Self:
        return replace(self, policies=MappingProxyType({**self.policies, log.key: log}))

    def places(self) -> list[Place]:
        """Where the living policies live."""
        bodies = (log.current.body for log in self.policies.values() if log.current and log.current.state in LIVING)
        return [place for body in bodies if (place := place_of(body)) is not None]


def first_state(root_public_key: bytes, genesis_hash: str) -> State:
    """Before any record: the root key, and the catalogue of the product's matrix."""
    root = Key(key_id_of(root_public_key), root_public_key, ROOT_ACTOR, ("root",), None, False)
    empty: Mapping[str, Any] = MappingProxyType({})
    keys = MappingProxyType({root.key_id: root})
    return State(root_public_key, 0, genesis_hash, keys, DEFAULT_CATALOGUE, empty, empty, Partitions())
