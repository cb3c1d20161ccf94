"""An installation to measure: topics, keys and 20 active policies on a broker, made through the real governance log."""

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.topics import topic_specs
from app.governance import drafts, keyring
from app.governance.keys import load_key
from app.governance.writer import GovernanceWriter
from app.settings import Settings
from app.stream.admin import ensure_topics

POLICIES = 20
# Types that the policies which are not triggered wait for: low class, so that no what-if report is needed.
OTHER_TYPES = ("feature_used", "error_or_latency")
EXAMPLE = Path(__file__).parents[1] / "data" / "onboarding_nudge_v1.yaml"
_serial = itertools.count(1)


def policy_bodies(triggered: int, exposure: str = "on_render", policies: int = POLICIES) -> list[dict[str, Any]]:
    """The worked example `policies` times, at full coverage; the first `triggered` of them on page views.

    exposure on_decision: a unit is exposed by its first decision, as it is in life by its first acknowledgement.
    """
    example = yaml.safe_load(EXAMPLE.read_text())
    bodies = []
    for number in range(policies):
        key = f"policy_{number:02d}"
        event = "page_view" if number < triggered else OTHER_TYPES[number % len(OTHER_TYPES)]
        layer = {"name": f"layer_{number:02d}", "range": [0.0, 1.0]}
        # Policies that share a decision point must share a layer, so each has a point of its own.
        trigger = {"event": event, "decision_point": f"bench.p{number:02d}"}
        own = {"key": key, "seed": key, "trigger": trigger, "layer": layer, "exposure": exposure}
        bodies.append({**example, **own, "coverage_permille": 1000, "ramp": [1000]})
    return bodies


async def install(
    broker: str, folder: Path, triggered: int, partitions: int, exposure: str = "on_render", policies: int = POLICIES
) -> Settings:
    """Settings of a new installation with `policies` active policies."""
    name = f"bench{os.getpid()}-{next(_serial)}"
    settings = Settings(
        broker=broker, data_dir=folder / name, app_id=name, topic_prefix=f"{name}.", partitions=partitions, web_port=0
    )
    await ensure_topics(settings, topic_specs(DEFAULT_CATALOGUE.event_types, DEFAULT_CATALOGUE.bounds.max_record_bytes))
    await keyring.init_root(settings)
    await keyring.new_key(settings, "author", "ann", ("author", "operator"), reason="bench")
    await keyring.new_key(settings, "approver", "bob", ("approver",), reason="bench")
    async with (
        GovernanceWriter(settings, load_key(settings, "author")) as author,
        GovernanceWriter(settings, load_key(settings, "approver")) as approver,
    ):
        catalogue = DEFAULT_CATALOGUE.model_dump(mode="json", by_alias=True)
        action = {"kind": "render", "slot": "onboarding.nudge", "component": "none"}
        for number in range(policies):
            catalogue["decision_points"][f"bench.p{number:02d}"] = {"owner": "bench", "default_action": action}
        await author.append(drafts.catalogue(catalogue), reason="bench")
        for body in policy_bodies(triggered, exposure, policies):
            await author.append(drafts.propose(body), reason="bench")
            await approver.append(drafts.approve(body["key"], 1), reason="bench")
            await author.append(drafts.activate(body["key"], 1), reason="bench")
    return settings


def environment(settings: Settings) -> dict[str, str]:
    """The settings as a child process reads them."""
    names = ("broker", "data_dir", "app_id", "topic_prefix", "partitions", "web_port")
    own = {f"TRUELIFT_{name.upper()}": str(getattr(settings, name)) for name in names}
    return {key: value for key, value in os.environ.items() if not key.startswith("TRUELIFT_")} | own


@contextlib.contextmanager
def process(settings: Settings, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child of this benchmark, ended with it."""
    child = subprocess.Popen([sys.executable, "-m", *command], env=environment(settings))
    try:
        yield child
    finally:
        child.terminate()
        child.wait(timeout=30)
