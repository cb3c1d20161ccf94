"""Who is logged in: a random name in a cookie, and behind it, in memory alone, the person's unlocked key.

Owns when a session ends: unused, too old, logged out, or its key no longer in force in the log (asked at each request, so a
revocation ends it at once). A restart ends all. Refuses more sessions than MOST.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.contract.times import parse_us
from app.errors import CallerError
from app.governance.keys import SigningKey
from app.governance.moves import Role
from app.governance.state import State

IDLE_SECONDS = 30 * 60.0
WHOLE_SECONDS = 8 * 3_600.0
MOST = 200
TOKEN_BYTES = 32


@dataclass
class Session:
    """csrf: what every form of this session carries."""

    key: SigningKey
    actor: str
    roles: tuple[Role, ...]
    began_at: float
    used_at: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))

    def may(self, *roles: str) -> bool:
        return bool(set(roles) & set(self.roles))

    def carries(self, csrf: str) -> bool:
        return hmac.compare_digest(self.csrf.encode(), csrf.encode())


class Sessions:
    """clock: seconds that only grow."""

    def __init__(self, state: Callable[[], State], clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock
        self._open: dict[str, Session] = {}  # by the hash of the cookie: a dump of it opens nothing

    def begin(self, key: SigningKey) -> str:
        """The cookie's value. CallerError: a key that the log does not let write, or too many sessions."""
        known = self._holder(key)
        if known is None:
            raise CallerError(f"the log does not know the key {key.name!r}, or it has ended", "Ask who has the root key")
        self._sweep()
        if len(self._open) >= MOST:
            raise CallerError(f"{MOST} people are logged in", "Try again later, or log out elsewhere")
        token, now = secrets.token_urlsafe(TOKEN_BYTES), self._clock()
        self._open[_hash(token)] = Session(key, *known, now, now)
        return token

    def find(self, token: str, *, is_use: bool = True) -> Session | None:
        """is_use: whether this keeps the session open; a page that only updates itself does not."""
        session = self._open.get(_hash(token))
        if session is None:
            return None
        known = self._holder(session.key)
        if known is None or self._is_over(session):
            self.end(token)
            return None
        session.actor, session.roles = known
        if is_use:
            session.used_at = self._clock()
        return session

    def end(self, token: str) -> None:
        self._open.pop(_hash(token), None)

    def _holder(self, key: SigningKey) -> tuple[str, tuple[Role, ...]] | None:
        """As the log has it now."""
        known = self._state().keys.get(key.key_id)
        if known is None or known.revoked:
            return None
        if known.not_after is not None and parse_us(known.not_after) < time.time_ns() // 1_000:
            return None
        return known.actor, known.roles

    def _is_over(self, session: Session) -> bool:
        now = self._clock()
        return now - session.used_at > IDLE_SECONDS or now - session.began_at > WHOLE_SECONDS

    def _sweep(self) -> None:
        for name in [name for name, session in self._open.items() if self._is_over(session)]:
            del self._open[name]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
