"""A new installation on the embedded broker: topics, root key, a person's key, and write keys to begin with.

Owns that first moment alone. Refuses to touch an installation that has a root key, and a cluster that is somebody else's:
there, topics, keys and catalogue are made by those who may (`truelift topics init`, `keys`, `writekeys`).
"""

import secrets
from typing import Any

from app.contract.catalogue import DEFAULT_CATALOGUE, WriteKey
from app.contract.topics import topic_specs
from app.edge.commands import ID_CHARS, KEY_BYTES, PREFIXES, Kind
from app.edge.rules import hash_of
from app.governance import drafts
from app.governance.keyring import init_root, new_key
from app.governance.keys import ROOT, key_exists, load_key
from app.governance.writer import GovernanceWriter
from app.settings import Settings
from app.stream.admin import ensure_topics

PERSON = "operator"
REASON = "truelift up: a new installation"


async def found(settings: Settings) -> dict[Kind, str]:
    """The write keys that were made, to be shown once; none where there is an installation already."""
    await ensure_topics(settings, topic_specs(DEFAULT_CATALOGUE.event_types, DEFAULT_CATALOGUE.bounds.max_record_bytes))
    if key_exists(settings, ROOT):
        return {}
    await init_root(settings, REASON)
    await new_key(settings, PERSON, PERSON, ("author", "operator"), reason=REASON)
    keys: dict[Kind, str] = {kind: prefix + secrets.token_urlsafe(KEY_BYTES) for kind, prefix in PREFIXES.items()}
    entries: dict[str, Any] = {}
    for kind, key in keys.items():
        entry = WriteKey(name="first", kind=kind, sha256=hash_of(key))
        entries[entry.sha256[:ID_CHARS]] = entry.model_dump(mode="json")
    body = DEFAULT_CATALOGUE.model_dump(mode="json") | {"write_keys": entries}
    async with GovernanceWriter(settings, load_key(settings, PERSON)) as writer:
        await writer.append(drafts.catalogue(body), reason=REASON)
    return keys
