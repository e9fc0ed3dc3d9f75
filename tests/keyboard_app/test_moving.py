"""Everything in one encrypted file, for a new phone."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyboard_app import moving
from keyboard_app.editor.editor import FieldKind
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from tests.wrong_files import WRONG, put

PASSPHRASE = "correct horse battery"
SEALED = moving.seal({"a": 1}, {"b": b"\x00\xff"}, PASSPHRASE)


def test_what_was_sealed_is_read() -> None:
    assert moving.unseal(SEALED, PASSPHRASE) == ({"a": 1}, {"b": b"\x00\xff"})


@settings(max_examples=12, deadline=None)
@given(place=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
def test_a_changed_byte_is_refused(place: int, bit: int) -> None:
    changed = bytearray(SEALED)
    changed[place] ^= 1 << bit
    with pytest.raises(ValueError, match=r"passphrase|no copy"):
        moving.unseal(bytes(changed), PASSPHRASE)


@pytest.mark.parametrize("passphrase", ["", "correct horse", PASSPHRASE.upper()])
def test_another_passphrase_opens_nothing(passphrase: str) -> None:
    with pytest.raises(ValueError, match="passphrase"):
        moving.unseal(SEALED, passphrase)


def test_a_short_passphrase_seals_nothing() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        moving.seal({}, {}, "1234567")


@pytest.mark.parametrize("data", [b"", b"fedkey copy 1\n", b"{}", SEALED[:-1]], ids=["empty", "head", "JSON", "cut"])
def test_other_files_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"passphrase|no copy"):
        moving.unseal(data, PASSPHRASE)


def phone(tmp_path: Path, name: str) -> Phone:
    return Phone(Profile.named(name, tmp_path))


def test_a_new_phone_has_words_messages_short_forms_emoji_and_settings(tmp_path: Path) -> None:
    old, new = phone(tmp_path, "old"), phone(tmp_path, "new")
    old.learn_here()
    for _ in range(2):
        old.session.type("meet me at Kaupang")
        old.session.send()
    old.add_shortcut("omw", "on my way")
    old.session.write_emoji("🎂")
    old.session.send()
    old.change(replace(old.settings, theme="dark", number_row=True))
    assert old.settle()
    path = old.write_copy(PASSPHRASE)
    assert b"Kaupang" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0

    new.read_copy(path, PASSPHRASE)
    assert new.settle()
    assert "Kaupang" in [word[1] for word in new.status().learned]
    assert new.status().logged[0] == 3
    assert new.status().shortcuts == {"omw": "on my way"}
    assert new.session.recent_emoji == ("🎂",)
    assert (new.settings.theme, new.settings.number_row) == ("dark", True)
    assert new.settings.consent is None, "what was agreed to on another phone is asked again"
    for each in (old, new):
        each.close()


def test_a_phone_with_words_of_its_own_takes_no_copy_and_loses_nothing(tmp_path: Path) -> None:
    old, new = phone(tmp_path, "old"), phone(tmp_path, "new")
    path = old.write_copy(PASSPHRASE)
    new.learn_here()
    new.session.type("hello there")
    new.session.send()
    assert new.settle()
    with pytest.raises(ValueError, match="words of its own"):
        new.read_copy(path, PASSPHRASE)
    assert new.status().logged[0] == 1
    for each in (old, new):
        each.close()


def test_a_wrong_passphrase_changes_nothing(tmp_path: Path) -> None:
    old, new = phone(tmp_path, "old"), phone(tmp_path, "new")
    old.change(replace(old.settings, theme="dark"))
    path = old.write_copy(PASSPHRASE)
    with pytest.raises(ValueError, match="passphrase"):
        new.read_copy(path, "something else")
    assert new.settings.theme == "light"
    for each in (old, new):
        each.close()


@pytest.mark.parametrize(
    ("kind", "incognito", "kept"),
    [
        (FieldKind.ORDINARY, False, ("hello",)),
        (FieldKind.ORDINARY, True, ()),
        (FieldKind.PASSWORD, False, ()),
        (FieldKind.NO_LEARNING, False, ()),
    ],
)
def test_what_is_copied_is_remembered_of_ordinary_fields_only(
    tmp_path: Path, kind: FieldKind, incognito: bool, kept: tuple[str, ...]
) -> None:
    one = phone(tmp_path, "one")
    one.go_incognito(on=incognito)
    one.session.focus(kind)
    one.session.type("hello")
    one.session.select_all()
    one.session.note_copied()
    assert one.session.clipboard.entries == kept
    one.delete_everything()
    assert one.session.clipboard.entries == ()
    one.close()


def test_what_is_in_the_place_of_a_copy_or_of_words_is_refused(tmp_path: Path) -> None:
    """And the phone goes on with what it has."""
    new = phone(tmp_path, "bea")
    assert new.settle()
    (tmp_path / "words").write_text("zanzibar\n")
    assert new.import_words(tmp_path / "words") == 1
    assert new.settle()
    new.wipe()
    assert new.settle()
    for number, wrong in enumerate(WRONG):
        file = tmp_path / f"copy {number}"
        file.write_bytes(SEALED)
        put(wrong, file)
        with pytest.raises((OSError, ValueError), match=r"no copy|passphrase|folder|device|loop|levels|No such|larger"):
            new.read_copy(file, PASSPHRASE)
        if wrong == "empty":
            continue  # no words, and no harm
        with pytest.raises((OSError, ValueError), match=r"no text|words|folder|device|loop|levels|No such|larger"):
            new.import_words(file)
    assert new.status().logged == (0, 0)
    new.close()
