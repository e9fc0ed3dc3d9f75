"""What is kept, how it is sealed, that it is gone once deleted, and that nothing acknowledged is lost."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyboard_app.typing import vault as vault_module
from keyboard_app.typing.typing_log import TypingLog
from keyboard_app.typing.vault import (
    IN_MEMORY,
    KEY_BYTES,
    FileKeyStore,
    KeyStore,
    Vault,
    VaultError,
    VaultFullError,
    open_or_replace,
    set_aside,
)

ROOT = Path(__file__).parents[3]
DAY = 86400.0
CANARY = "xylopharnix"


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY

    def __call__(self) -> float:
        return self.now


class Keys:
    """Keys in memory."""

    def __init__(self) -> None:
        self.keys: Sequence[bytes] = ()

    def load(self) -> Sequence[bytes]:
        return self.keys

    def save(self, keys: Sequence[bytes]) -> None:
        self.keys = list(keys)


@pytest.fixture(params=["file", "memory"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    return FileKeyStore(tmp_path / "typing.key") if request.param == "file" else Keys()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "typing.sqlite"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(path: Path) -> Vault:
    return Vault(path, FileKeyStore(path.with_suffix(".key")))


@pytest.fixture
def log(vault: Vault, clock: Clock) -> TypingLog:
    return TypingLog(vault, clock=clock)


def texts(log: TypingLog) -> list[str]:
    return [message.text for message in log.messages()]


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


class TestKeyStore:
    def test_it_keeps_keys_in_order(self, keys: KeyStore) -> None:
        assert not keys.load()
        keys.save([b"a" * KEY_BYTES, b"b" * KEY_BYTES])
        assert list(keys.load()) == [b"a" * KEY_BYTES, b"b" * KEY_BYTES]
        keys.save([b"c" * KEY_BYTES])
        assert list(keys.load()) == [b"c" * KEY_BYTES]

    def test_only_the_owner_may_read_the_file_and_no_copy_stays(self, tmp_path: Path) -> None:
        keys = FileKeyStore(tmp_path / "key")
        keys.save([b"a" * KEY_BYTES])
        keys.save([b"b" * KEY_BYTES])
        assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == ["key"]

    def test_the_old_keys_bytes_are_overwritten(self, tmp_path: Path) -> None:
        keys = FileKeyStore(tmp_path / "key")
        keys.save([b"a" * KEY_BYTES])
        os.link(tmp_path / "key", tmp_path / "second name")
        keys.save([b"b" * KEY_BYTES])
        assert b"a" * 8 not in (tmp_path / "second name").read_bytes()

    def test_a_damaged_key_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"short")
        with pytest.raises(VaultError, match="damaged"):
            FileKeyStore(tmp_path / "key").load()


def readable(folder: Path, key: bytes) -> set[bytes]:
    """Return all that anyone who has the key can read out of a folder's files, in use or not."""
    name, cipher, found = hashlib.sha256(key).digest()[:4], AESGCM(key), set()
    for data in (path.read_bytes() for path in folder.iterdir()):
        for start in (at for at in range(len(data)) if data.startswith(name, at)):
            for end in range(start + 32, min(start + 160, len(data)) + 1):
                for label in (b"draft", b"\0entry", b"keystrokes"):
                    with contextlib.suppress(InvalidTag):
                        found.add(cipher.decrypt(data[start + 4 : start + 16], data[start + 16 : end], label))
    return found


class TestWhatIsGone:
    def test_no_file_has_a_draft_that_was_replaced_or_erased(self, log: TypingLog, path: Path) -> None:
        key = FileKeyStore(path.with_suffix(".key")).load()[0]
        for text in ("my card number is 4929", "never mind", "draft again", ""):
            log.draft(text)
            assert {found for found in readable(path.parent, key) if found} == ({text.encode()} if text else set())

    def test_no_file_has_a_message_that_was_deleted(self, vault: Vault, path: Path) -> None:
        key = FileKeyStore(path.with_suffix(".key")).load()[0]
        numbers = [vault.append(float(number), b"message %d" % number) for number in range(6)]
        assert {b"message 0", b"message 5"} <= readable(path.parent, key)
        vault.delete(numbers[:2])
        assert not {b"message 0", b"message 1"} & readable(path.parent, key)
        vault.delete_before(3.0)
        assert b"message 2" not in readable(path.parent, key)
        vault.delete_oldest(1)
        assert {found for found in readable(path.parent, key) if found} == {b"message 5"}

    def test_what_a_killed_process_had_deleted_is_gone_with_the_next_start(
        self, vault: Vault, path: Path, tmp_path: Path
    ) -> None:
        key = FileKeyStore(path.with_suffix(".key")).load()[0]
        vault.append(1.0, b"in the log")
        with vault.writing() as database:
            database.execute("DELETE FROM entries")  # committed, and killed before anything else
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in list(tmp_path.iterdir()):
            if file.is_file():
                shutil.copy(file, copy)
        assert b"in the log" in readable(copy, key)
        again = Vault(copy / path.name, FileKeyStore(copy / path.with_suffix(".key").name))
        assert b"in the log" not in readable(copy, key)
        again.close()


class TestVault:
    def test_what_was_put_in_comes_out_after_a_restart(self, path: Path, keys: KeyStore) -> None:
        vault = Vault(path, keys)
        first, second = vault.append(1.0, b"one"), vault.append(2.0, b"two")
        vault.put("name", b"document")
        vault.close()
        again = Vault(path, keys)
        assert again.entries() == [(first, 1.0, b"one"), (second, 2.0, b"two")]
        assert again.entries(after=first) == [(second, 2.0, b"two")]
        assert (again.get("name"), again.get("other"), again.names()) == (b"document", None, ["name"])
        assert (again.count(), again.count(after=first), again.latest()) == (2, 1, second)

    def test_a_number_is_never_used_twice(self, vault: Vault) -> None:
        first = vault.append(1.0, b"one")
        vault.delete([first])
        assert vault.append(1.0, b"two") > first
        vault.wipe()
        assert vault.append(1.0, b"three") > first + 1

    def test_nothing_of_it_can_be_read_in_the_files(self, path: Path, vault: Vault) -> None:
        vault.append(1.0, CANARY.encode())
        vault.put("name", CANARY.encode() * 1000)
        assert CANARY.encode() not in everything(path.parent)
        vault.close()
        assert CANARY.encode() not in everything(path.parent)

    def test_sealed_contents_cannot_change_places(self, path: Path, vault: Vault) -> None:
        vault.put("one", b"1")
        vault.put("two", b"2")
        with sqlite3.connect(path) as database:
            database.execute("UPDATE documents SET sealed = (SELECT sealed FROM documents WHERE name = 'two')")
        database.close()
        assert vault.get("two") == b"2"
        with pytest.raises(VaultError, match="key"):
            vault.get("one")

    def test_other_keys_open_nothing(self, path: Path, vault: Vault) -> None:
        vault.close()
        with pytest.raises(VaultError, match="key"):
            Vault(path, Keys())

    def test_a_transaction_is_all_or_nothing(self, vault: Vault) -> None:
        def cut_off() -> None:
            with vault.writing():
                vault.put("one", b"1")
                vault.append(1.0, b"2")
                raise InterruptedError

        with pytest.raises(InterruptedError):
            cut_off()
        assert vault.names() == []
        assert vault.count() == 0

    def test_forgetting_the_key_makes_old_bytes_unreadable(self, path: Path, vault: Vault) -> None:
        keys = FileKeyStore(path.with_suffix(".key"))
        vault.append(1.0, b"stays")
        old_keys = keys.load()
        with sqlite3.connect(path) as database:
            copied = database.execute("SELECT sealed FROM entries").fetchone()[0]
        database.close()
        vault.forget_key()
        assert len(keys.load()) == 1
        assert keys.load() != old_keys
        assert vault.entries()[0][2] == b"stays"
        assert copied not in everything(path.parent)
        with sqlite3.connect(path) as database:
            database.execute("UPDATE entries SET sealed = ?", (copied,))
        database.close()
        with pytest.raises(VaultError, match="key"):
            vault.entries()

    def test_deleting_overwrites(self, path: Path, vault: Vault) -> None:
        number = vault.append(1.0, b"x" * 3000)
        with sqlite3.connect(path) as database:
            sealed = database.execute("SELECT sealed FROM entries").fetchone()[0]
        database.close()
        assert sealed[100:200] in everything(path.parent)
        vault.delete([number])
        vault.forget_key()
        assert sealed[100:200] not in everything(path.parent)

    def test_a_change_of_keys_that_was_cut_off_is_finished_at_the_next_start(self, path: Path) -> None:
        keys = Keys()
        vault = Vault(path, keys)
        vault.append(1.0, b"one")
        vault.close()
        keys.keys = [b"n" * KEY_BYTES, *keys.keys]
        again = Vault(path, keys)
        assert again.entries()[0][2] == b"one"
        assert keys.keys == [b"n" * KEY_BYTES]

    def test_a_full_file_says_so_and_changes_nothing(self) -> None:
        vault = Vault(IN_MEMORY, Keys(), max_bytes=64 * 1024)
        vault.put("small", b"1")
        with pytest.raises(VaultFullError, match="no room"):
            vault.put("large", b"x" * 200_000)
        assert vault.names() == ["small"]


class TestReplacing:
    def test_a_good_vault_is_opened(self, path: Path, keys: KeyStore) -> None:
        vault, problem = open_or_replace(path, keys)
        assert problem == ""
        vault.put("name", b"1")
        vault.close()
        assert open_or_replace(path, keys)[0].get("name") == b"1"

    @pytest.mark.parametrize("damage", ["garbage", "middle", "key lost", "key damaged", "cut"])
    def test_a_damaged_one_is_set_aside(self, path: Path, damage: str) -> None:
        keys = FileKeyStore(path.with_suffix(".key"))
        vault = Vault(path, keys)
        for number in range(200):
            vault.append(1.0, b"%d" % number * 100)
        vault.close()
        content = path.read_bytes()
        match damage:
            case "garbage":
                path.write_bytes(random.Random(1).randbytes(10_000))
            case "middle":
                path.write_bytes(content[:4096] + bytes(len(content) - 4096))
            case "cut":
                path.write_bytes(content[: len(content) // 2])
            case "key lost":
                path.with_suffix(".key").unlink()
            case "key damaged":
                path.with_suffix(".key").write_bytes(b"short")
        again, problem = open_or_replace(path, keys)
        assert "set aside" in problem
        assert len(set_aside(path)) == 1
        assert again.count() == 0
        again.append(1.0, b"works")
        again.close()
        assert open_or_replace(path, keys)[1] == ""

    def test_a_folder_that_cannot_be_written_leaves_a_vault_in_memory(self, tmp_path: Path) -> None:
        missing = tmp_path / "not there" / "typing.sqlite"
        vault, problem = open_or_replace(missing, FileKeyStore(missing.with_suffix(".key")))
        assert "forgotten when the app closes" in problem
        vault.append(1.0, b"works")
        assert vault.count() == 1


class TestLog:
    def test_a_draft_is_replaced_and_then_finished(self, log: TypingLog, clock: Clock) -> None:
        log.draft("so ")
        log.draft("so it ")
        assert texts(log) == []
        log.finish("so it is", keystrokes=8)
        assert texts(log) == ["so it is"]
        assert log.messages()[0].at == clock.now
        log.recover()
        assert texts(log) == ["so it is"]

    def test_what_was_deleted_from_a_draft_is_gone(self, log: TypingLog, vault: Vault) -> None:
        log.draft("so secret ")
        log.draft("")
        log.recover()
        assert texts(log) == []
        assert "draft" not in vault.names()

    def test_a_draft_outlives_the_app(self, log: TypingLog, vault: Vault) -> None:
        log.draft("so it ")
        TypingLog(vault).recover()
        assert texts(log) == ["so it "]

    def test_messages_expire(self, vault: Vault, clock: Clock) -> None:
        log = TypingLog(vault, clock=clock, expiry_seconds=10 * DAY)
        log.finish("old", keystrokes=3)
        clock.now += 9 * DAY
        log.finish("new", keystrokes=3)
        clock.now += 2 * DAY
        log.expire()
        assert texts(log) == ["new"]

    def test_the_oldest_make_room(self, vault: Vault, clock: Clock) -> None:
        log = TypingLog(vault, clock=clock, max_messages=3)
        for number in range(5):
            log.finish(f"message {number}", keystrokes=3)
        log.expire()
        assert texts(log) == ["message 2", "message 3", "message 4"]

    def test_a_full_store_drops_the_oldest_and_goes_on(self, clock: Clock) -> None:
        log = TypingLog(Vault(IN_MEMORY, Keys(), max_bytes=100_000), clock=clock)
        for number in range(200):
            log.finish(f"message {number} " + "x" * 2000, keystrokes=3)
        kept = texts(log)
        assert kept[-1].startswith("message 199 ")
        assert 5 < len(kept) < 50

    def test_what_never_fits_is_an_error_that_loses_nothing_before(self, clock: Clock) -> None:
        log = TypingLog(Vault(IN_MEMORY, Keys(), max_bytes=100_000), clock=clock)
        log.finish("before", keystrokes=3)
        with pytest.raises(VaultFullError):
            log.finish("x" * 300_000, keystrokes=3)
        log.draft("after ")

    @pytest.mark.parametrize("word", ["Zanzibar", "zanzibar", "ZANZIBAR"])
    def test_a_forgotten_word_takes_its_messages_along(self, log: TypingLog, vault: Vault, word: str) -> None:
        for text in ("see you at Zanzibar", "zanzibars are many", "hello", "Zanzibar!"):
            log.finish(text, keystrokes=3)
        log.draft("to Zanzibar ")
        log.forget(word)
        assert texts(log) == ["zanzibars are many", "hello"]
        assert "draft" not in vault.names()

    def test_keystrokes_are_counted_by_day(self, log: TypingLog, clock: Clock) -> None:
        log.finish("hello there", keystrokes=5)
        log.finish("you", keystrokes=3)
        clock.now += DAY
        log.finish("again", keystrokes=4)
        assert [(day.characters, day.keystrokes) for day in log.days()] == [(14, 8), (5, 4)]
        assert log.days()[1].day == log.days()[0].day + 1

    def test_numbers_tell_what_is_new(self, log: TypingLog) -> None:
        log.finish("one", keystrokes=3)
        seen = log.messages()[-1].number
        log.finish("two", keystrokes=3)
        assert log.count(after=seen) == 1
        assert [message.text for message in log.messages(after=seen)] == ["two"]


class TestRounds:
    def test_new_messages_come_first_and_none_is_in_more_rounds_than_the_limit(self, log: TypingLog) -> None:
        for text in ("one", "two", "three"):
            log.finish(text, keystrokes=3)
        given = [message.text for message in log.for_round(2)]
        assert given == ["three", "two", "one"]
        log.count_round(log.for_round(2)[:2])
        log.finish("four", keystrokes=3)
        assert [message.text for message in log.for_round(2)] == ["four", "one", "three", "two"]
        log.count_round(log.for_round(2))
        assert [message.text for message in log.for_round(2)] == ["four", "one"]
        log.count_round(log.for_round(2))
        assert log.for_round(2) == []
        assert len(log.for_round(3)) == 4

    def test_rounds_are_remembered_over_restarts_new_keys_and_deletions(self, path: Path, clock: Clock) -> None:
        for uses in range(3):
            vault = Vault(path, FileKeyStore(path.with_suffix(".key")))
            log = TypingLog(vault, clock=clock)
            log.finish("same", keystrokes=3) if not uses else None
            assert len(log.for_round(uses)) == 0
            assert len(log.for_round(uses + 1)) == 1
            log.count_round(log.for_round(uses + 1))
            vault.forget_key()
            vault.close()
        log = TypingLog(Vault(path, FileKeyStore(path.with_suffix(".key"))), clock=clock)
        log.forget("same")
        log.finish("other", keystrokes=3)
        assert [message.text for message in log.for_round(1)] == ["other"]

    def test_messages_from_before_rounds_were_counted_count_as_used(self, path: Path) -> None:
        vault = Vault(path, FileKeyStore(path.with_suffix(".key")))
        TypingLog(vault).finish("from before", keystrokes=3)
        vault.close()
        with contextlib.closing(sqlite3.connect(path)) as database:  # as the version before left it
            database.execute("ALTER TABLE entries DROP COLUMN uses")
            database.execute("PRAGMA user_version = 1")
            database.commit()
        log = TypingLog(Vault(path, FileKeyStore(path.with_suffix(".key"))))
        assert log.for_round(1) == []
        assert [message.text for message in log.for_round(2)] == ["from before"]


def killed(folder: Path, after_words: int) -> list[str]:
    """Let a process type, kill it at some moment, and return the words that it said were safe."""
    command = [sys.executable, "-m", "tests.keyboard_app.typing.typing_until_killed", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line.strip())
        if len(said) == after_words:
            process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return [word for word in said if word.count("x") == 1]


def test_a_change_of_keys_that_is_cut_off_twice_leaves_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileKeyStore(tmp_path / "typing.key")
    key = bytes(range(KEY_BYTES))
    store.save([key])

    def cut_off(path: Path, content: bytes) -> None:
        raise OSError(f"killed before {path} had {len(content)} bytes")

    monkeypatch.setattr(vault_module, "write_private", cut_off)
    for _ in range(2):
        with pytest.raises(VaultError):
            store.save([bytes(KEY_BYTES), key])
        assert store.load() == [key]


def test_no_acknowledged_word_is_lost_when_the_app_is_killed(tmp_path: Path) -> None:
    """The process goes on typing until the signal comes: in a draft, in a commit, or in a change of keys."""
    random_moments = random.Random(7)
    said: list[str] = []
    for _ in range(6):
        said += killed(tmp_path, random_moments.randrange(1, 60))
        vault, problem = open_or_replace(tmp_path / "typing.sqlite", FileKeyStore(tmp_path / "typing.key"))
        assert problem == ""
        log = TypingLog(vault)
        log.recover()
        kept = {word for text in texts(log) for word in text.split()}
        assert set(said) <= kept
        vault.close()
    assert len(said) > 50
