"""A person's signing key as the console keeps it: sealed with a passphrase, opened for a session, in memory alone.

The browser never has a key: a page that was tampered with could sign anything with one. The console's disk has none that is of
use without the person: scrypt (RFC 7914) makes the passphrase costly to guess, AES-256-GCM binds the key to its name and id. So
the key file itself need not lie on the console's machine. Refuses root: who may write for everybody has no page here.
"""

import asyncio
import re
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from app.errors import CallerError
from app.governance.keys import ROOT, SigningKey
from app.secret_files import write_secret

SCHEMA = "truelift.locked_key/1"
LEAST_PASSPHRASE_CHARS = 12
MOST_PASSPHRASE_CHARS = 1_000
# 128 MiB and some tenths of a second for each guess (OWASP's first choice).
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 17, 8, 1
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}").fullmatch


class WrongPassphraseError(Exception):
    """No such name, or not its passphrase: which of the two is nobody's business."""


class LockedKeys:
    """folder: one file a person. One passphrase is tried at a time: that bounds the memory of guessing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()

    def lock(self, key: SigningKey, passphrase: str) -> None:
        """CallerError: root, a passphrase that is too short, a name that is there."""
        if key.name == ROOT:
            raise CallerError("the root key is not for the console", "Let root register people's keys by command")
        if not LEAST_PASSPHRASE_CHARS <= len(passphrase) <= MOST_PASSPHRASE_CHARS:
            raise CallerError(f"the passphrase has {len(passphrase)} characters", f"Use at least {LEAST_PASSPHRASE_CHARS}")
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(_derived(passphrase, salt)).encrypt(
            nonce, key.private_key.private_bytes_raw(), _bound(key.name, key.key_id)
        )
        body = {"schema": SCHEMA, "name": key.name, "key_id": key.key_id}
        body |= {"salt": _text(salt), "nonce": _text(nonce), "sealed": _text(sealed)}
        try:
            write_secret(self._file(key.name), orjson.dumps(body))
        except FileExistsError:
            raise CallerError(
                f"{key.name} can log in already", f"To change the passphrase, delete {self._file(key.name)} first"
            ) from None

    def knows(self, name: str) -> bool:
        return bool(_NAME(name)) and self._file(name).exists()

    async def unlock(self, name: str, passphrase: str) -> SigningKey:
        """WrongPassphraseError; it takes as long for a name that is not there."""
        async with self._turn:
            return await asyncio.to_thread(self._unlock, name, passphrase[: MOST_PASSPHRASE_CHARS + 1])

    def _unlock(self, name: str, passphrase: str) -> SigningKey:
        known = self.knows(name)
        body: dict[str, Any] = orjson.loads(self._file(name).read_bytes()) if known else {}
        derived = _derived(passphrase, b64decode(body.get("salt", "")) if known else bytes(_SALT_BYTES))
        if not known:
            raise WrongPassphraseError
        try:
            raw = AESGCM(derived).decrypt(b64decode(body["nonce"]), b64decode(body["sealed"]), _bound(name, body["key_id"]))
        except InvalidTag:
            raise WrongPassphraseError from None
        return SigningKey(name, Ed25519PrivateKey.from_private_bytes(raw))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _derived(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P).derive(passphrase.encode())


def _bound(name: str, key_id: str) -> bytes:
    return f"{SCHEMA}\x1f{name}\x1f{key_id}".encode()


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
