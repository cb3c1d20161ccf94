"""Public Node SDKs, unmodified, against a real edge. Installed once into the user's cache by tests/edge/node/package.json."""

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.edge.process import PUBLIC_KEY, EdgeProcess
from tests.edge.test_sdks_python import check_envelope, of_word
from tests.npm import MISSING, installed

HERE = Path(__file__).parent / "node"
DRIVE_SECONDS = 60

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(MISSING, reason="Node.js is not installed"),
]


@pytest.fixture(scope="session")
def sdks() -> Path:
    """The folder with node_modules, of exactly these versions; made once for all runs on this machine."""
    return installed(HERE / "package.json", "edge-sdks")


def drive(sdks: Path, edge: EdgeProcess, sdk: str, word: str, *more: str, key: str = PUBLIC_KEY) -> list[str]:
    """What the SDK reported as lost."""
    command = ["node", str(HERE / "drive.cjs"), sdk, edge.url, key, word, *more]
    done = subprocess.run(command, cwd=sdks, capture_output=True, text=True, timeout=DRIVE_SECONDS)
    assert done.returncode in (0, 1), done.stderr
    errors: list[str] = json.loads(done.stdout.splitlines()[-1])
    return errors


EXPECTED = {
    "segment": {"page_view": 1, "identify": 2, "feature_used": 1},
    "rudderstack": {"page_view": 1, "identify": 2, "feature_used": 1},
    "snowplow": {"page_view": 1, "feature_used": 1, "billing_intent": 1},
    "amplitude": {"page_view": 1, "identify": 1, "feature_used": 1},
}
SOURCES = {"rudderstack": "segment"}  # one protocol


@pytest.mark.parametrize(
    ("sdk", "more"),
    [("segment", ()), ("rudderstack", ()), ("snowplow", ()), ("snowplow", ("plain",)), ("amplitude", ())],
)
async def test_an_sdk_delivers(edge: EdgeProcess, sdks: Path, sdk: str, more: tuple[str, ...]) -> None:
    word = uuid.uuid4().hex
    assert drive(sdks, edge, sdk, word, *more) == []
    found = await of_word(edge, word)
    assert {name: len(records) for name, records in found.items()} == EXPECTED[sdk]
    for record in (record for records in found.values() for record in records):
        check_envelope(record, SOURCES.get(sdk, sdk))
    assert found["page_view"][0].value["context"]["route"] == "/checkout"
    assert found["page_view"][0].value["anonymous_id"] == f"d-{word}"
    used = found["feature_used"][0].value
    assert used["user_id"] == f"u-{word}"
    assert used["properties"]["name"] == ("play" if sdk == "snowplow" else "Report Exported")
    if sdk in ("segment", "rudderstack"):
        assert (used["context"]["device"], used["context"]["locale"]) == ("tablet", "de-DE")


@pytest.mark.parametrize("sdk", ["segment", "snowplow", "amplitude"])
def test_with_a_wrong_key_an_sdk_gives_up(edge: EdgeProcess, sdks: Path, sdk: str) -> None:
    assert drive(sdks, edge, sdk, uuid.uuid4().hex, key="tlp_nobody") != []
