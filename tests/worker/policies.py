"""The policies of these tests are those of the fire drill."""

from app.chaos.policies import HERO, LATER, NUDGE, SWAP, TIPS, bodies, catalogue, nudge, policy

__all__ = ["HERO", "LATER", "NUDGE", "SWAP", "TIPS", "bodies", "catalogue", "nudge", "policy"]
