"""Users with exactly the rights of their role in one installation, and what the authorizer saw of them."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

from app.access.roles import ROLES, needs_of
from app.settings import Settings
from app.stream.acls import Acl, grant
from app.stream.broker_security import ADMIN, BrokerSecurity
from app.stream.scram import set_password
from tests.security.conftest import MakeSettings
from tests.worker.policies import catalogue

# One line for each decision, as Kafka's StandardAuthorizer words it.
_DECISION = re.compile(
    r"Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ "
    r"on resource = (\w+):LITERAL:(\S+) for request = (\w+)"
)
_RESOURCES = {"Topic": "topic", "Group": "group", "TransactionalId": "transactional_id", "Cluster": "cluster"}
# What Kafka grants with another right (KIP-11).
_IMPLIED = {"Describe": {"Read", "Write", "Alter"}}


class Cast(NamedTuple):
    """One user for each role, named <app id>-<role>."""

    make: MakeSettings
    admin: Settings

    @classmethod
    async def of(cls, make: MakeSettings, security: BrokerSecurity) -> Self:
        cast = cls(make, make(ADMIN))
        for role in ROLES:
            user = cast.user(role)
            await set_password(cast.admin, user, security.password_file(user).read_text())
            await grant(cast.admin, user, cast.acls(role))
        return cast

    def user(self, role: str) -> str:
        return f"{self.admin.app_id}-{role}"

    def settings(self, role: str) -> Settings:
        return self.make(self.user(role))

    def acls(self, role: str) -> list[Acl]:
        return [need.acl for need in needs_of(role, self.admin, list(catalogue().event_types))]


class Access(NamedTuple):
    """One thing that a user did, or wanted to do."""

    allowed: bool
    operation: str
    resource: str
    name: str
    request: str

    def is_covered_by(self, acl: Acl) -> bool:
        same = acl.operation == self.operation or acl.operation in _IMPLIED.get(self.operation, ())
        named = self.name.startswith(acl.name) if acl.prefixed else self.name == acl.name
        return acl.resource == self.resource and named and same


def accesses(authorizer_log: Path, user: str) -> set[Access]:
    found: set[Access] = set()
    for file in (authorizer_log, *authorizer_log.parent.glob(f"{authorizer_log.name}.*")):
        for principal, verdict, operation, resource, name, request in _DECISION.findall(file.read_text()):
            if principal == user:
                words = "".join(word.capitalize() for word in operation.split("_"))
                found.add(Access(verdict == "Allowed", words, _RESOURCES[resource], name, request))
    return found


def idle(acls: Iterable[Acl], seen: Iterable[Access]) -> list[Acl]:
    """The rights without which all that was seen would have been allowed just the same."""
    acls = list(acls)
    used = {acl for access in seen if (acl := _only(acls, access)) is not None}
    return [acl for acl in acls if acl not in used]


def _only(acls: list[Acl], access: Access) -> Acl | None:
    covering = [acl for acl in acls if access.is_covered_by(acl)]
    return covering[0] if len(covering) == 1 else None
