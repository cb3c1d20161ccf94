"""Who may do what, and until when: sessions that end, roles that do not suffice. Without a broker."""

from dataclasses import replace
from types import MappingProxyType
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.checker.chain import TYPES
from app.console.actions import MOVES, ForbiddenError, check_role, check_token
from app.console.sessions import IDLE_SECONDS, MOST, WHOLE_SECONDS, Session, Sessions
from app.errors import CallerError
from app.governance.keys import SigningKey
from app.governance.moves import Role
from app.governance.signatures import key_id_of
from app.governance.state import Key, State, first_state

KEY = SigningKey("ann", Ed25519PrivateKey.generate())
# Every action of the console, as the record that it writes.
ACTIONS = sorted({*MOVES.values(), "proposed", "looked", "retried"})


class Installation:
    """A log that knows ann, and a clock."""

    def __init__(self) -> None:
        raw = KEY.private_key.public_key().public_bytes_raw()
        self.key = Key(key_id_of(raw), raw, "ann", ("operator",), None, False)
        self.now = 0.0
        self.sessions = Sessions(lambda: self.state, lambda: self.now)

    @property
    def state(self) -> State:
        begun = first_state(b"\x07" * 32, "0" * 64)
        return replace(begun, keys=MappingProxyType({self.key.key_id: self.key}))


@pytest.fixture
def there() -> Installation:
    return Installation()


def test_a_session_that_nobody_uses_ends_and_one_that_is_used_goes_on(there: Installation) -> None:
    used, forgotten = there.sessions.begin(KEY), there.sessions.begin(KEY)
    there.now = IDLE_SECONDS - 1
    assert there.sessions.find(used) is not None
    assert there.sessions.find(forgotten, is_use=False) is not None, "it is there, and a page that updates itself is no use"
    there.now = IDLE_SECONDS + 1
    assert there.sessions.find(used) is not None
    assert there.sessions.find(forgotten) is None


def test_no_session_is_longer_than_a_working_day_however_busy(there: Installation) -> None:
    token = there.sessions.begin(KEY)
    while there.now < WHOLE_SECONDS:
        assert there.sessions.find(token) is not None
        there.now += IDLE_SECONDS / 2
    there.now += 1
    assert there.sessions.find(token) is None


def test_a_revoked_key_or_one_that_has_ended_ends_the_session_at_once(there: Installation) -> None:
    for change in ({"revoked": True}, {"not_after": "2001-01-01T00:00:00Z"}):
        there.key = there.key._replace(revoked=False, not_after=None)
        token = there.sessions.begin(KEY)
        assert there.sessions.find(token) is not None
        there.key = there.key._replace(**change)
        assert there.sessions.find(token) is None
        with pytest.raises(CallerError):
            there.sessions.begin(KEY)


def test_a_role_that_the_log_takes_away_is_gone_from_the_open_session(there: Installation) -> None:
    token = there.sessions.begin(KEY)
    there.key = there.key._replace(roles=("author",))
    session = there.sessions.find(token)
    assert session is not None
    with pytest.raises(ForbiddenError):
        check_role(session, "killed")


def test_who_logged_out_and_who_was_never_here_have_no_session(there: Installation) -> None:
    token = there.sessions.begin(KEY)
    there.sessions.end(token)
    assert there.sessions.find(token) is None
    assert there.sessions.find("") is None


def test_sessions_are_bounded(there: Installation) -> None:
    for _ in range(MOST):
        there.sessions.begin(KEY)
    with pytest.raises(CallerError):
        there.sessions.begin(KEY)
    there.now = WHOLE_SECONDS + 1
    assert there.sessions.begin(KEY), "those that are over make room"


@pytest.mark.parametrize("role", get_args(Role))
def test_every_action_is_refused_to_every_role_that_may_not_write_its_record(role: Role) -> None:
    """Against the checker's table, which shares nothing with the console's."""
    session = Session(KEY, "ann", (role,), 0, 0)
    for action in ACTIONS:
        if action in TYPES[role]:
            check_role(session, action)  # type: ignore[arg-type]
        else:
            with pytest.raises(ForbiddenError):
                check_role(session, action)  # type: ignore[arg-type]


def test_a_form_without_the_session_s_token_is_refused() -> None:
    mine, other = (Session(KEY, "ann", ("operator",), 0, 0) for _ in range(2))
    check_token(mine, {"csrf": mine.csrf})
    for form in ({}, {"csrf": ""}, {"csrf": other.csrf}, {"csrf": mine.csrf + "x"}):
        with pytest.raises(ForbiddenError):
            check_token(mine, form)
