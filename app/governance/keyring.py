"""Keys and their records together: the file on this machine, and the root-signed record that lets it write.

Each step can be repeated after a crash between the two: a file without a record is registered, never made anew.
"""

from app.errors import CallerError
from app.governance.drafts import register_key, revoke_key
from app.governance.keys import ROOT, SigningKey, create_key, key_exists, load_key, publish_root
from app.governance.moves import Role
from app.governance.signatures import encode
from app.governance.state import ROOT_ACTOR
from app.governance.writer import Appended, GovernanceWriter
from app.settings import Settings


async def init_root(settings: Settings, reason: str = "the first key of this installation") -> SigningKey:
    """The root key and the log's first record, which says whose log it is."""
    known = key_exists(settings, ROOT)
    key = load_key(settings, ROOT) if known else create_key(settings, ROOT)
    publish_root(settings, key)
    async with GovernanceWriter(settings, key, encode(key.public_key)) as writer:
        if writer.fold.seq > 0:
            raise CallerError("this installation has its root key and its first record", "Go on with truelift keys new")
        if writer.fold.refused:
            what = f"the governance topic holds {writer.fold.refused.total()} records that another root key signed"
            raise CallerError(what, "Use that root key, or another TRUELIFT_TOPIC_PREFIX")
        await writer.append(register_key(key.public_key, ROOT_ACTOR, ("root",)), reason=reason)
    return key


async def new_key(
    settings: Settings, name: str, actor: str, roles: tuple[Role, ...], *, not_after: str | None = None, reason: str
) -> SigningKey:
    """A key file and its record. An existing file is registered with what is given here, unless the log knows it."""
    root = load_key(settings, ROOT)
    async with GovernanceWriter(settings, root) as writer:
        key = load_key(settings, name) if key_exists(settings, name) else None
        if key is not None and key.key_id in writer.fold.state.keys:
            raise CallerError(f"the key {name!r} is registered already ({key.key_id})", "Choose another name")
        key = key or create_key(settings, name)
        await writer.append(register_key(key.public_key, actor, roles, not_after), reason=reason)
    return key


async def revoke(settings: Settings, key_id: str, *, reason: str) -> Appended:
    """From this record on, nothing that the key signs is applied. What it signed before stays."""
    async with GovernanceWriter(settings, load_key(settings, ROOT)) as writer:
        known = writer.fold.state.keys.get(key_id)
        if known is None:
            raise CallerError(f"no key {key_id!r}", "See truelift keys list")
        return await writer.append(revoke_key(known), reason=reason)
