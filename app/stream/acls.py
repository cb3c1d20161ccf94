"""Rights on a Kafka cluster: an ACL as a value, as a line of kafka-acls.sh, and on the cluster.

Owns: the codes of the protocol, and giving and taking rights through an admin's connection. Refuses rules that deny: with an
authorizer that denies by default they only hide what is granted.
"""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest_v1
from aiokafka.protocol.api import Response

from app.errors import OperatorError
from app.settings import Settings
from app.stream.admin import admin_client
from app.stream.protocol import ExactRequest

Resource = Literal["topic", "group", "transactional_id", "cluster"]
Operation = Literal["Read", "Write", "Create", "Alter", "Describe", "DescribeConfigs"]

# org.apache.kafka.common.resource.ResourceType, acl.AclOperation, resource.PatternType, acl.AclPermissionType
_RESOURCES: dict[Resource, int] = {"topic": 2, "group": 3, "cluster": 4, "transactional_id": 5}
_OPERATIONS: dict[Operation, int] = {"Read": 3, "Write": 4, "Create": 5, "Alter": 7, "Describe": 8, "DescribeConfigs": 10}
_ANY, _LITERAL, _PREFIXED, _ALLOW = 1, 3, 4, 3
_ANY_HOST = "*"


class Acl(NamedTuple):
    """What one may do with one resource. prefixed: with all whose names begin with `name`."""

    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False

    def line(self, user: str, address: str) -> str:
        """The same as a command of Kafka's own tools."""
        flag = self.resource.replace("_", "-")
        pattern = " --resource-pattern-type prefixed" if self.prefixed else ""
        return (
            f"kafka-acls.sh --bootstrap-server {address} --add --allow-principal {shlex.quote(f'User:{user}')} "
            f"--operation {self.operation} --{flag} {self.name}{pattern}"
        )

    def entry(self, user: str) -> tuple[int, str, int, str, str, int, int]:
        """As on the wire."""
        pattern = _PREFIXED if self.prefixed else _LITERAL
        resource, operation = _RESOURCES[self.resource], _OPERATIONS[self.operation]
        return resource, self.name, pattern, f"User:{user}", _ANY_HOST, operation, _ALLOW


async def grant(settings: Settings, user: str, acls: Sequence[Acl]) -> None:
    """What the user has already stays as it is."""
    request = ExactRequest(CreateAclsRequest_v1, creations=[acl.entry(user) for acl in acls])
    answer = await _asked(settings, request)
    _check((code, message) for code, message in answer.creation_responses)


async def withdraw(settings: Settings, user: str, acls: Sequence[Acl]) -> int:
    """How many of them the user had."""
    answer = await _asked(settings, ExactRequest(DeleteAclsRequest_v1, filters=[acl.entry(user) for acl in acls]))
    _check((code, message) for code, message, _ in answer.filter_responses)
    return sum(len(matching) for _, _, matching in answer.filter_responses)


async def granted(settings: Settings, user: str) -> set[Acl]:
    """All that the user has; a right of a kind that Truelift does not use is left out."""
    request = ExactRequest(
        DescribeAclsRequest_v1,
        resource_type=_ANY, resource_name=None, resource_pattern_type_filter=_ANY,
        principal=f"User:{user}", host=None, operation=_ANY, permission_type=_ALLOW,
    )  # fmt: skip
    answer = await _asked(settings, request)
    _check([(answer.error_code, answer.error_message)])
    resources = {code: name for name, code in _RESOURCES.items()}
    operations = {code: name for name, code in _OPERATIONS.items()}
    return {
        Acl(resources[kind], name, operations[operation], pattern == _PREFIXED)
        for kind, name, pattern, entries in answer.resources
        for _, _, operation, _ in entries
        if kind in resources and operation in operations
    }


async def _asked(settings: Settings, request: ExactRequest) -> Response:
    async with admin_client(settings) as admin:
        return await admin._send_request(request)


def _check(answers: Iterable[tuple[int, Any]]) -> None:
    for code, message in answers:
        if code:
            raise OperatorError(
                f"the cluster refuses: {for_code(code).__name__} {message or ''}".rstrip(),
                "Do it as a user with the right Alter on the cluster, and with an authorizer in the brokers' settings",
            )
