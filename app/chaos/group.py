"""Taking a static member out of its group from outside, as an operator's tool does (LeaveGroup by instance id, KIP-345)."""

# aiokafka has no types: its classes are Any here.
# mypy: allow-subclassing-any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from app.settings import Settings
from app.stream.protocol import ExactRequest

# A static member is named by its instance; which process has it is the coordinator's to know.
ANY_MEMBER = ""


class LeaveGroupResponseV3(Response):
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")), ("error_code", Int16)),
        ),
    )


class LeaveGroupRequestV3(RequestStruct):
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveGroupResponseV3
    SCHEMA = Schema(
        ("group_id", String("utf-8")),
        ("members", Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")))),
    )


async def evict(settings: Settings, instance_id: str) -> bool:
    """False when it is no member (now), or the coordinator is on the move."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        node = await admin.find_coordinator(settings.app_id)
        request = ExactRequest(LeaveGroupRequestV3, group_id=settings.app_id, members=[(ANY_MEMBER, instance_id)])
        answer = await admin._send_request(request, node)
    finally:
        await admin.close()
    return not answer.error_code and all(code == 0 for _, _, code in answer.members)
