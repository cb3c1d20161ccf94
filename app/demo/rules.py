"""The demo's governance: the keys of three persons, the catalogue, six policies with their review, and the moves of the run."""

from pathlib import Path
from typing import Any

import yaml

from app.contract.catalogue import Catalogue
from app.contract.policy import Policy
from app.governance import drafts
from app.governance.drafts import Drafter
from app.governance.keyring import init_root, new_key
from app.governance.keys import load_key
from app.governance.moves import Role
from app.governance.writer import Appended, GovernanceWriter
from app.settings import Settings

NUDGE = "onboarding_nudge_v1"  # the worked example
BORING = "tips_wording_v1"
CALM = "calm_mode_v1"
NUDGE_RAMPED_PERMILLE = 250

_HERE = Path(__file__).parent
# A version needs a second person: who proposes, who approves, who runs it.
PEOPLE: dict[str, tuple[Role, ...]] = {"ada": ("author",), "ben": ("approver",), "ola": ("operator",)}
AUTHOR, APPROVER, OPERATOR = PEOPLE


def catalogue_body() -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((_HERE / "catalogue.yaml").read_text())
    return body


def catalogue() -> Catalogue:
    return Catalogue.model_validate(catalogue_body())


def policy_bodies() -> dict[str, dict[str, Any]]:
    """By key, the live nudge before its shadow."""
    bodies = [yaml.safe_load(path.read_text()) for path in sorted((_HERE / "policies").glob("*.yaml"))]
    return {body["key"]: body for body in bodies}


def policies() -> dict[str, Policy]:
    return {key: Policy.model_validate(body) for key, body in policy_bodies().items()}


async def establish(settings: Settings) -> int:
    """Keys, catalogue and policies, all in force. The number of policies."""
    await init_root(settings)
    for name, roles in PEOPLE.items():
        await new_key(settings, name, name, roles, reason=f"{name} joins the demo")
    bodies = policy_bodies()
    async with (
        GovernanceWriter(settings, load_key(settings, AUTHOR)) as author,
        GovernanceWriter(settings, load_key(settings, APPROVER)) as approver,
        GovernanceWriter(settings, load_key(settings, OPERATOR)) as operator,
    ):
        await operator.append(drafts.catalogue(catalogue_body()), reason="the product's matrix and the demo's decision points")
        for key, body in bodies.items():
            await author.append(drafts.propose(body), reason=f"first version of {key}")
            await approver.append(drafts.approve(key, 1), reason="reviewed: arms, holdout, outcomes and stop rules are right")
            await operator.append(drafts.activate(key, 1), reason="go")
    return len(bodies)


async def operate(settings: Settings, move: Drafter, reason: str) -> Appended:
    """One move of the operator."""
    async with GovernanceWriter(settings, load_key(settings, OPERATOR)) as writer:
        return await writer.append(move, reason=reason)
