"""Key files: Ed25519 private keys as PKCS8 PEM, readable by their owner only. Who a key is and what it may do is in the log.

Refuses to overwrite a key, and to use one that others can read.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.contract.times import format_us, micros, parse_us
from app.errors import CallerError
from app.governance.signatures import encode, key_id_of
from app.secret_files import write_secret
from app.settings import Settings

ROOT = "root"
_OTHERS = 0o077
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


class SigningKey(NamedTuple):
    """name: of its file, without .pem."""

    name: str
    private_key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        return self.private_key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        return key_id_of(self.public_key)


def create_key(settings: Settings, name: str) -> SigningKey:
    """A new key in its own file. Beside the root key, its public half as root.pub: the setting that every worker needs."""
    path = _path(settings, name)
    key = SigningKey(name, Ed25519PrivateKey.generate())
    try:
        write_secret(path, key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except FileExistsError:
        raise CallerError(f"the key {name!r} exists: {path}", "Choose another name, or use the key as it is") from None
    if name == ROOT:
        publish_root(settings, key)
    return key


def publish_root(settings: Settings, key: SigningKey) -> None:
    """Also of a key whose creation was cut short between the two files."""
    _root_file(settings).write_text(encode(key.public_key) + "\n")


def load_key(settings: Settings, name: str) -> SigningKey:
    path = _path(settings, name)
    if not path.exists():
        known = ", ".join(key_names(settings)) or "none"
        raise CallerError(
            f"there is no key {name!r} in {path.parent} (there: {known})", "Make one: truelift keys new NAME --actor A --role R"
        )
    mode = path.stat().st_mode
    if mode & _OTHERS:
        raise CallerError(f"the key file {path} can be read by others (mode {mode & 0o777:o})", f"Run chmod 600 {path}")
    try:
        private_key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise CallerError(f"{path} holds no usable private key ({error})", "Give an unencrypted PKCS8 PEM file") from None
    if not isinstance(private_key, Ed25519PrivateKey):
        raise CallerError(f"{path} holds a key that is not Ed25519", "Make one: truelift keys new")
    return SigningKey(name, private_key)


def key_exists(settings: Settings, name: str) -> bool:
    return _path(settings, name).exists()


def key_names(settings: Settings) -> list[str]:
    return sorted(path.stem for path in settings.keys().glob("*.pem"))


def root_public_key(settings: Settings) -> str:
    """The setting, else the text of root.pub."""
    if settings.root_public_key is not None:
        return settings.root_public_key
    path = _root_file(settings)
    if not path.exists():
        raise CallerError(
            f"no root public key: TRUELIFT_ROOT_PUBLIC_KEY is not set and there is no {path}",
            "Run truelift keys init, or give the key of the installation",
        )
    return path.read_text().strip()


def not_after_of(text: str) -> str:
    """The end of a key's life as the log has it. A date alone is its last day, UTC."""
    try:
        if "T" not in text.upper():
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
            return format_us(micros(day.replace(hour=23, minute=59, second=59, microsecond=999_999)))
        return format_us(parse_us(text))
    except (ValueError, OverflowError):
        raise CallerError(f"{text!r} is no time", "Write 2027-01-31 or 2027-01-31T12:00:00Z") from None


def _root_file(settings: Settings) -> Path:
    return settings.keys() / "root.pub"


def _path(settings: Settings, name: str) -> Path:
    if not _NAME(name) or name.startswith("."):
        raise CallerError(f"{name!r} is no name for a key", "Use 1 to 64 characters of A-Z, a-z, 0-9, _, . and -")
    return settings.keys() / f"{name}.pem"
