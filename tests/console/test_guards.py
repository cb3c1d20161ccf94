"""What the console's own pieces refuse, without a broker."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.console.attempts import FAILURES_OF_A_NAME, WINDOW_SECONDS, Attempts
from app.console.locked_keys import LockedKeys, WrongPassphraseError
from app.console.markup import Html, tag
from app.console.pictures.simple import area
from app.console.store import ReadModel
from app.errors import CallerError
from app.governance.keys import SigningKey

PASSPHRASE = "correct horse battery"


def test_text_is_escaped_wherever_it_stands_and_only_markup_is_not() -> None:
    assert tag("p", "<b>", title='"<') == '<p title="&quot;&lt;">&lt;b&gt;</p>'
    assert tag("p", [tag("b", "&"), None]) == "<p><b>&amp;</b></p>"
    assert tag("p", Html("<b>")) == "<p><b></p>"


@pytest.mark.parametrize("attribute", ["onclick", "style", "srcdoc"])
def test_markup_that_would_run_or_style_something_is_refused(attribute: str) -> None:
    with pytest.raises(ValueError):
        tag("p", **{attribute: "x"})


def test_every_shape_of_a_picture_is_closed() -> None:
    picture = area([1.0, 2.0], "a course", "signals/s")
    assert all(picture.count(f"<{shape} ") == picture.count(f"</{shape}>") for shape in ("polygon", "polyline", "line", "text"))


async def test_a_key_opens_by_its_passphrase_alone_and_not_under_another_name(tmp_path: Path) -> None:
    key, keys = SigningKey("ann", Ed25519PrivateKey.generate()), LockedKeys(tmp_path)
    keys.lock(key, PASSPHRASE)
    assert (await keys.unlock("ann", PASSPHRASE)).key_id == key.key_id
    assert (tmp_path / "ann.json").stat().st_mode & 0o077 == 0
    (tmp_path / "bob.json").write_bytes((tmp_path / "ann.json").read_bytes())
    for name, passphrase in (("ann", PASSPHRASE + "x"), ("bob", PASSPHRASE), ("nobody", PASSPHRASE), ("../ann", PASSPHRASE)):
        with pytest.raises(WrongPassphraseError):
            await keys.unlock(name, passphrase)


def test_the_root_key_and_a_short_passphrase_are_refused(tmp_path: Path) -> None:
    for name, passphrase in (("root", PASSPHRASE), ("ann", "short")):
        with pytest.raises(CallerError):
            LockedKeys(tmp_path).lock(SigningKey(name, Ed25519PrivateKey.generate()), passphrase)


def test_guessing_one_name_is_held_up_for_a_window_and_other_names_are_not() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for _ in range(FAILURES_OF_A_NAME):
        attempts.failed("ann")
    assert attempts.wait_seconds("ann") > 0
    assert attempts.wait_seconds("bob") == 0
    now = WINDOW_SECONDS + 1
    assert attempts.wait_seconds("ann") == 0


def test_a_read_model_of_another_installation_is_begun_anew_and_one_s_own_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "read_model.sqlite"
    for genesis, kept in (("a", 0), ("a", 1), ("b", 0)):
        model = ReadModel(file)
        model.open(genesis)
        assert len(model.offsets()) == kept
        with model.transaction() as writer:
            writer.execute("INSERT OR REPLACE INTO offsets VALUES('decisions', 0, 7)")
        model.close()


def test_a_transaction_that_fails_leaves_neither_rows_nor_offsets(tmp_path: Path) -> None:
    model = ReadModel(tmp_path / "read_model.sqlite")
    model.open("a")
    with pytest.raises(RuntimeError):
        _write_and_fail(model)
    assert model.offsets() == {}
    model.close()


def _write_and_fail(model: ReadModel) -> None:
    with model.transaction() as writer:
        writer.execute("INSERT INTO offsets VALUES('decisions', 0, 7)")
        raise RuntimeError
