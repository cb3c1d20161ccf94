"""Ed25519 (RFC 8032) over canonical JSON, the SHA-256 hash chain, and key ids.

Bytes are written as base64url without padding; any other spelling of the same bytes is refused.
"""

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.errors import CallerError
from app.governance.records import Record, Sealed

# prev_hash of the first record.
GENESIS_HASH = "0" * 64
PUBLIC_KEY_BYTES = 32
_KEY_ID_HEX_DIGITS = 16


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes | None:
    """The bytes of base64url text; None for any spelling but the one that encode() gives."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if encode(raw) == text else None


def read_public_key(text: str) -> bytes:
    """32 raw bytes from base64url or hex text. CallerError otherwise."""
    text = text.strip()
    raw = decode(text)
    if raw is None or len(raw) != PUBLIC_KEY_BYTES:
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
    if len(raw) != PUBLIC_KEY_BYTES:
        raise CallerError(f"{text[:80]!r} is no Ed25519 public key", "Give its 32 bytes as base64url or hex, as in root.pub")
    return raw


def key_id_of(public_key: bytes) -> str:
    """The id of a key follows from the key: no record can give an id to another key."""
    return "k" + hashlib.sha256(public_key).hexdigest()[:_KEY_ID_HEX_DIGITS]


def record_hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def sign(record: Record, private_key: Ed25519PrivateKey) -> Record:
    return record._replace(signature=encode(private_key.sign(record.signing_bytes())))


def is_signed_by(sealed: Sealed, public_key: bytes) -> bool:
    """Over the bytes as they lie in the log, whatever they say."""
    signature, signed = decode(sealed.record.signature), sealed.signed_bytes()
    if not signature or signed is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True
