"""The phone without a screen: typing, learning, forgetting, and what it says of itself."""

import json
import stat
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.protocol import model_codec as codec
from federation.protocol.trust import TRUSTED, Anchors
from keyboard_app.editor.editor import FieldKind, Offer, Request
from keyboard_app.editor.keys import Layer, page
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile, ProfileError
from keyboard_app.settings import Settings
from keyboard_app.shared_models import SharedModels
from keyboard_app.typing.suggesting import Suggesting
from keyboard_app.typing.training_texts import HELD_OUT, TrainingTexts
from keyboard_app.typing.typing_log import EXPIRY_SECONDS
from model.engine import Export
from model.engine.exported import MANIFEST
from model.suggestions import Suggestion
from model.suggestions.gliding import middles
from model.suggestions.keys import QWERTY
from tests.keyboard_app.conftest import AGREED, Clock, Open

CANARIES = ("xylopharnix", "quorvashti", "blentimoor")


def say(phone: Phone, *messages: str) -> None:
    for message in messages:
        for character in message:
            phone.session.type(character)
        phone.session.send()
    assert phone.settle()


def files_with(folder: Path, *words: str) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(word.encode() in path.read_bytes().lower() for word in words)
    ]


def learned(phone: Phone) -> list[str]:
    return [word for word, _, _ in phone.status().learned]


class TestGliding:
    def test_words_that_are_glided_stand_there_and_are_sent(self, open_phone: Open) -> None:
        phone, where = open_phone(), middles(QWERTY)
        for word in ("hello", "there"):
            phone.session.glide(tuple(where[letter] for letter in word))
            assert phone.settle()
        phone.session.type(",")
        assert phone.session.state.text == "Hello there,"
        phone.session.send()
        assert phone.session.sent == ["Hello there,"]

    def test_without_a_model_a_glide_writes_nothing(self, open_phone: Open) -> None:
        phone = open_phone(model=None)
        phone.session.glide(((0.5, 0.5), (5.0, 0.5)))
        phone.session.type("a")
        assert phone.session.state.text == "a"


class TestTyping:
    def test_keys_give_text_and_suggestions_follow(self, open_phone: Open) -> None:
        phone = open_phone()
        assert all(phone.session.state.slots)
        for letter in "hel":
            phone.session.press(next(key for key in page(Layer.LETTERS) if key.types == letter))
        assert phone.session.state.text == "Hel"
        assert phone.settle()
        best = phone.session.state.slots[1]
        assert best is not None
        assert best.text == "Hello"
        assert "Shared" in phone.session.why(best)
        phone.session.accept(1)
        assert phone.session.state.text == "Hello "
        phone.session.send()
        assert list(phone.session.sent) == ["Hello "]

    def test_typing_never_waits_for_the_model(self, open_phone: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        phone, gate = open_phone(), threading.Event()
        suggester = phone._learner._suggester
        assert suggester is not None
        predict = suggester.suggest

        def suggest(before: str, typed: str = "") -> list[Suggestion]:
            gate.wait()
            return predict(before, typed)

        monkeypatch.setattr(suggester, "suggest", suggest)
        for character in "how are":
            phone.session.type(character)
        phone.session.send()
        phone.change(replace(phone.settings, theme="dark"))
        assert list(phone.session.sent) == ["how are"]
        assert phone.status().logged == (0, 0)
        gate.set()
        assert phone.settle()
        assert phone.status().logged == (1, 2)

    def test_listeners_hear_of_suggestions(self, open_phone: Open) -> None:
        phone, heard = open_phone(), threading.Event()
        phone.listen(heard.set)
        phone.session.type("h")
        assert heard.wait(60)

    def test_half_a_character_is_none(self, open_phone: Open) -> None:
        phone = open_phone()
        say(phone, "so\ud83d it is")
        assert phone.session.sent == ["so it is"]
        assert phone.status().logged == (1, 3)

    def test_passwords_are_shown_to_nobody(self, open_phone: Open) -> None:
        phone = open_phone()
        phone.session.focus(FieldKind.PASSWORD)
        say(phone, "secret")
        assert list(phone.session.sent) == ["••••••"]
        assert phone.session.state.slots == (None, None, None)

    def test_without_a_model_one_types(self, open_phone: Open, tmp_path: Path) -> None:
        phone = open_phone(model=None)
        say(phone, "so it is")
        assert phone.status().logged == (1, 3)
        assert "without a model" in phone.status().problem
        broken = open_phone(model=tmp_path / "nothing")
        assert "no suggestions" in broken.status().problem
        say(broken, "so it is")

    def test_only_the_latest_request_is_answered(self, open_phone: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        suggester = open_phone()._learner._suggester
        assert suggester is not None
        asked, gate = threading.Event(), threading.Event()
        offers: list[Offer] = []
        slow = suggester.suggest

        def suggest(before: str, typed: str = "") -> list[Suggestion]:
            if typed == "first":
                asked.set()
                gate.wait()
            return slow(before, typed)

        monkeypatch.setattr(suggester, "suggest", suggest)
        suggesting = Suggesting(lambda: suggester, offers.append)
        suggesting.ask(Request("", "first"))
        asked.wait()
        suggesting.ask(Request("", "second"))
        suggesting.ask(Request("", "third"))
        gate.set()
        assert suggesting.settle()
        assert [offer.request.typed for offer in offers] == ["third"]
        suggesting.close()


class TestLearning:
    def test_words_are_learned_and_outlive_the_app(self, open_phone: Open) -> None:
        phone = open_phone()
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        assert phone.status().learned == (("zanzibar", "Zanzibar", 2),)
        phone.session.type("Zan")
        assert phone.settle()
        slot = phone.session.state.slots[1]
        assert slot is not None
        assert slot.text == "Zanzibar"
        assert "Personal" in phone.session.why(slot)
        phone.close()
        again = open_phone(None)
        assert learned(again) == ["zanzibar"]
        assert again.status().logged == (2, 7)

    def test_what_was_logged_but_not_learned_yet_is_learned_at_the_next_start(
        self, open_phone: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        phone = open_phone()
        monkeypatch.setattr(phone._learner, "_save", lambda: None)  # killed before
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        phone.close()
        assert learned(open_phone(None)) == ["zanzibar"]

    @pytest.mark.parametrize("settings", [Settings(), replace(AGREED, consent=False), replace(AGREED, incognito=True)])
    def test_without_consent_and_in_incognito_nothing_is_learned(
        self, open_phone: Open, profile: Profile, settings: Settings
    ) -> None:
        phone = open_phone(settings)
        say(phone, f"{CANARIES[0]} it is", f"so {CANARIES[0]}")
        assert phone.status().logged == (0, 0)
        assert learned(phone) == []
        phone.close()
        assert files_with(profile.folder, *CANARIES) == []

    @pytest.mark.parametrize("field", [FieldKind.PASSWORD, FieldKind.NO_LEARNING])
    def test_other_fields_are_not_learned(self, open_phone: Open, field: FieldKind) -> None:
        phone = open_phone()
        phone.session.focus(field)
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        assert phone.status().logged == (0, 0)
        assert learned(phone) == []

    def test_nor_are_messages_with_pasted_text(self, open_phone: Open, profile: Profile) -> None:
        phone = open_phone()
        phone.session.type("so ")
        phone.session.paste("blentimoor")
        phone.session.type(" it is")
        phone.session.send()
        say(phone, "hello there")
        assert phone.status().logged == (1, 2)
        assert "blentimoor" not in learned(phone)
        assert files_with(profile.folder, "blentimoor") == []

    def test_what_is_selected_and_deleted_is_unlearned(self, open_phone: Open) -> None:
        phone = open_phone()
        phone.session.type("so quorvashti ")
        phone.session.select_word(5)
        phone.session.backspace()
        phone.close()
        assert "quorvashti" not in learned(open_phone())

    def test_consent_does_not_reach_back(self, open_phone: Open) -> None:
        phone = open_phone(Settings())
        assert phone.status().consent is None
        phone.session.type("before ")
        phone.agree(True)
        say(phone, "and after")
        assert phone.status().logged == (0, 0)
        say(phone, "now")
        assert phone.status().logged == (1, 1)
        phone.session.type("unfinished ")
        phone.agree(False)
        say(phone, "words")
        assert phone.status().logged == (1, 1)
        phone.close()
        again = open_phone(None)
        assert again.status().consent is False
        assert again.status().logged == (1, 1)

    def test_forgetting_a_word_forgets_its_messages(self, open_phone: Open) -> None:
        phone = open_phone()
        say(phone, "meet at Zanzibar", "so Zanzibar it is", "hello there")
        phone.forget("Zanzibar")
        assert phone.settle()
        assert learned(phone) == []
        assert phone.status().logged == (1, 2)
        phone.close()
        again = open_phone(None)
        assert learned(again) == []
        assert again.status().logged == (1, 2)

    def test_never_suggest_holds_until_it_is_taken_back(self, open_phone: Open) -> None:
        phone = open_phone()
        phone.never_suggest("hello")
        phone.close()
        phone = open_phone(None)
        assert phone.status().never == ("hello",)
        phone.session.type("hel")
        assert phone.settle()
        assert "hello" not in [slot.text.lower() for slot in phone.session.state.slots if slot]
        phone.allow("hello")
        assert phone.settle()
        assert "hello" in [slot.text.lower() for slot in phone.session.state.slots if slot]

    def test_wiping_leaves_nothing(self, open_phone: Open, profile: Profile) -> None:
        phone = open_phone()
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        (profile.folder / "typing.sqlite.damaged-1").write_bytes(b"old")
        key = profile.key.read_bytes()
        phone.wipe()
        assert phone.settle()
        status = phone.status()
        assert (status.learned, status.logged, status.keystrokes.characters) == ((), (0, 0), 0)
        assert profile.key.read_bytes() != key
        assert not (profile.folder / "typing.sqlite.damaged-1").exists()

    def test_keystrokes_saved_are_those_of_the_week(self, open_phone: Open, clock: Clock) -> None:
        phone = open_phone()
        phone.session.type("h")
        phone.session.type("e")
        assert phone.settle()
        phone.session.accept(1)
        say(phone, "you")
        keystrokes = phone.status().keystrokes
        assert (keystrokes.characters, keystrokes.spent) == (len(phone.session.sent[0]), 6)
        assert len(keystrokes.days) == 7
        clock.now += 7 * 86400
        assert phone.status().keystrokes.characters == 0

    def test_old_messages_expire_and_what_they_taught_but_for_the_words(self, open_phone: Open, clock: Clock) -> None:
        phone = open_phone()
        phone.never_suggest("nothing")
        say(phone, *["meet at Zanzibar"] * 3)
        clock.now += EXPIRY_SECONDS + 1
        say(phone, "so it is")
        assert phone.status().logged == (1, 3)
        assert phone._learner._own.model.tokens == 3
        assert "zanzibar" in learned(phone)
        assert phone.status().never == ("nothing",)
        phone.close()
        again = open_phone(None)
        assert again._learner._own.model.tokens == 3
        assert learned(again) == learned(phone)

    def test_some_messages_are_kept_out_of_training(self, open_phone: Open) -> None:
        phone = open_phone()
        say(phone, *(f"number {number}" for number in range(2 * HELD_OUT)))
        assert len(TrainingTexts(phone._learner).training_texts(max_messages=100, max_rounds=10)) == 2 * (HELD_OUT - 1)


class TestTrouble:
    def test_a_damaged_store_is_set_aside_and_typing_goes_on(self, open_phone: Open, profile: Profile) -> None:
        profile.log.write_bytes(b"this is no database, and was none " * 200)
        phone = open_phone()
        assert "set aside" in phone.status().problem
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        assert learned(phone) == ["zanzibar"]

    def test_a_store_that_breaks_while_typing_is_replaced(self, open_phone: Open, profile: Profile) -> None:
        phone = open_phone()
        say(phone, "so it is")
        for path in profile.folder.glob("typing.sqlite*"):
            path.write_bytes(b"overwritten by something else " * 500)
        say(phone, "one", "two", "three")
        assert phone.status().problem
        assert list(phone.session.sent)[-3:] == ["one", "two", "three"]
        say(phone, "four")
        assert phone.status().logged[0] >= 1

    def test_a_full_store_says_so_and_typing_goes_on(self, open_phone: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("keyboard_app.typing.vault.Vault.__init__.__kwdefaults__", {"max_bytes": 64 * 1024})
        phone = open_phone()
        phone.session.type("x" * 200_000)
        say(phone, "")
        assert "no room" in phone.status().problem
        say(phone, "short")
        assert len(phone.session.sent) == 2

    def test_damaged_settings_ask_for_consent_again(self, profile: Profile) -> None:
        for content in ("{", "[]", '{"consent": "yes"}', '{"theme": 5}', '{"epsilon_limit": "x"}'):
            (profile.folder / "settings.json").write_text(content)
            assert profile.settings() == Settings()

    def test_settings_that_cannot_be_written_hold_until_the_app_closes(
        self, open_phone: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        phone = open_phone()

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Profile, "keep", full)
        phone.change(replace(phone.settings, theme="dark"))
        assert phone.settings.theme == "dark"
        assert "cannot be stored" in phone.status().problem


class TestProfiles:
    def test_several_live_side_by_side(self, tmp_path: Path) -> None:
        anna, ben = Profile.named("anna", tmp_path), Profile.named("ben", tmp_path)
        anna.keep(AGREED)
        assert anna.settings() == AGREED
        assert ben.settings() == Settings()
        assert stat.S_IMODE(anna.folder.stat().st_mode) == 0o700

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "x" * 41, "."])
    def test_a_name_is_a_name(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ProfileError, match="cannot name a profile"):
            Profile.named(name, tmp_path)

    def test_a_folder_that_cannot_be_made_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ProfileError, match="cannot be made"):
            Profile.named("anna", tmp_path / "file")


@pytest.fixture
def trust(exported: Export, tmp_path: Path) -> Path:
    """What an app of some round server brings along, signed by a publisher."""
    keys = [Ed25519PrivateKey.generate() for _ in range(3)]
    server, authority = (key.public_key().public_bytes_raw() for key in keys[:2])
    path = tmp_path / "trust.json"
    Anchors.of(exported.manifest, server, authority, profile=TRUSTED).write(
        path, exported.directory / MANIFEST, keys[2]
    )
    return path


class TestConsent:
    @pytest.mark.parametrize("consent", [None, False])
    def test_without_it_the_phone_calls_nobody(self, open_phone: Open, trust: Path, consent: bool | None) -> None:
        called = threading.Event()

        def answer(_: httpx.Request) -> httpx.Response:
            called.set()
            return httpx.Response(500)

        options = {"server": "http://127.0.0.1", "transport": httpx.MockTransport(answer), "trust": trust}
        phone = open_phone(replace(AGREED, consent=consent), **options)
        say(phone, *["so it is"] * 5)
        phone.change(replace(phone.settings, theme="dark"))
        phone.close()
        assert not called.is_set()
        open_phone(AGREED, **options)
        assert called.wait(60)  # with consent it does

    def test_a_server_in_trouble_leaves_a_keyboard_that_types(self, open_phone: Open, trust: Path) -> None:
        heard = threading.Event()

        def answer(_: httpx.Request) -> httpx.Response:
            heard.set()
            return httpx.Response(200, content=b"<html>")

        phone = open_phone(AGREED, server="http://127.0.0.1", transport=httpx.MockTransport(answer), trust=trust)
        assert heard.wait(60)
        say(phone, "so it is")
        phone.close()
        assert phone.status().logged == (1, 3)
        assert "does not answer as" in phone.status().activity


class TestOwnData:
    def test_the_export_has_everything_and_is_the_owners(self, open_phone: Open) -> None:
        phone = open_phone()
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        path = phone.export_data()
        assert "Infinity" not in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = json.loads(path.read_text())
        assert [message["text"] for message in content["messages"]] == ["meet at Zanzibar", "so Zanzibar it is"]
        assert content["learned words"] == [["zanzibar", "Zanzibar", 2]]

    def test_deleting_everything_leaves_a_phone_as_at_the_first_start(self, open_phone: Open, profile: Profile) -> None:
        phone = open_phone()
        say(phone, f"so {CANARIES[0]} it is", f"{CANARIES[0]} again")
        phone.export_data()
        phone.delete_everything()
        assert phone.settle()
        assert phone.status().consent is None
        assert phone.status().logged == (0, 0)
        assert list(phone.session.sent) == []
        phone.close()
        assert files_with(profile.folder, *CANARIES) == []


class TestModels:
    def test_one_goes_over_to_another_model_and_back(
        self, open_phone: Open, profile: Profile, exported: Export
    ) -> None:
        weights = exported.trainer().weights()
        SharedModels(profile.models, exported).of("model").add(2, codec.to_bytes(-weights))
        phone = open_phone()
        own = [slot.text for slot in phone.session.state.slots if slot]
        for version, shown in ((2, False), (1, True)):
            phone.use_model(version)
            assert phone.settle()
            assert [entry.version for entry in phone.status().models if entry.in_use] == [version]
            assert ([slot.text for slot in phone.session.state.slots if slot] == own) is shown
        phone.use_model(2)
        phone.close()
        again = open_phone(None)
        assert [entry.version for entry in again.status().models if entry.in_use] == [2]
        assert [slot.text for slot in again.session.state.slots if slot] != own

    def test_a_damaged_model_gives_way_to_that_of_the_app(
        self, open_phone: Open, profile: Profile, exported: Export
    ) -> None:
        models = SharedModels(profile.models, exported).of("model")
        models.add(2, b"damaged")
        models.use(2)
        phone = open_phone()
        assert all(phone.session.state.slots)


class TestConditions:
    def test_every_condition_says_whether_it_holds(self, open_phone: Open, clock: Clock) -> None:
        phone = open_phone(replace(AGREED, charging=False, rest_seconds=10.0))
        say(phone, "one", "two")
        holds = {condition.name: condition.holds for condition in phone.conditions()}
        assert holds == {
            "Consent": True,
            "Server": False,
            "Charging": False,
            "Idle": False,
            "Unmetered": True,
            "Enough new text": False,
        }
        assert phone.conditions()[-1].detail == "2 of 3 new messages"
        clock.now += 10
        phone.change(replace(phone.settings, charging=True))
        say(phone, "three")
        clock.now += 10
        held = {condition.name: condition.holds for condition in phone.conditions()}
        assert held["Charging"]
        assert held["Idle"]
        assert held["Enough new text"]


def test_what_is_typed_is_in_no_file(open_phone: Open, profile: Profile) -> None:
    phone = open_phone()
    say(phone, *(f"so {canary} it is" for canary in CANARIES), *(f"{canary} again" for canary in CANARIES))
    assert set(CANARIES) <= set(learned(phone))
    phone.session.type(f"{CANARIES[0]} unfinished ")
    assert phone.settle()
    assert files_with(profile.folder, *CANARIES) == []
    phone.close()
    assert files_with(profile.folder, *CANARIES) == []
    assert profile.log.stat().st_size > 0


class TestChoices:
    def test_learning_here_is_an_answer_of_its_own(self, open_phone: Open) -> None:
        phone = open_phone(Settings())
        phone.learn_here()
        say(phone, "meet at Zanzibar", "so Zanzibar it is")
        assert learned(phone) == ["zanzibar"]
        assert phone.settings.consent is False
        assert not {condition.name: condition.holds for condition in phone.conditions()}["Consent"]
        phone.agree(consent=False)
        say(phone, "ask Zorba", "tell Zorba")
        assert learned(phone) == ["zanzibar"]

    def test_what_was_wanted_as_typed_is_known_also_without_learning(self, open_phone: Open) -> None:
        phone = open_phone(Settings(consent=False))
        phone.session.type("helko")
        assert phone.settle()
        before = phone.session.state.text
        phone.session.type(" ")
        if phone.session.state.text != before + " ":
            phone.session.backspace()
        else:
            phone.add_word("helko")
        assert phone.settle()
        phone.close()
        again = open_phone(None)
        again.session.type("so helko")
        assert again.settle()
        again.session.type(" ")
        assert again.session.state.text == "so helko "

    def test_autocorrection_and_suggestions_can_be_off(self, open_phone: Open) -> None:
        phone = open_phone()
        phone.change(replace(phone.settings, autocorrection="off", suggestions=False))
        assert phone.settle()
        for text in ("i ", "dont ", "helo "):
            for character in text:
                phone.session.type(character)
                assert phone.settle()
        assert phone.session.state.text == "i dont helo "
        assert phone.session.state.slots == (None, None, None)
        phone.change(replace(phone.settings, autocorrection="eager", suggestions=True))
        phone.session.type("dont")
        assert phone.settle()
        phone.session.type(" ")
        assert phone.session.state.text.endswith("don't ")

    def test_shortcuts_are_expanded_and_taken_back_like_corrections(self, open_phone: Open) -> None:
        phone = open_phone()
        phone.change(replace(phone.settings, autocorrection="off"))
        phone.add_shortcut("omw", "on my way")
        phone.session.type("omw")
        assert phone.settle()
        phone.session.type(" ")
        assert phone.session.state.text == "on my way "
        phone.session.backspace()
        assert phone.session.state.text == "omw "

    def test_words_go_from_one_phone_to_another(self, open_phone: Open, tmp_path: Path) -> None:
        phone = open_phone()
        phone.add_word("Zanzibar")
        phone.add_shortcut("omw", "on my way")
        assert phone.settle()
        for kind in ("plain", "gboard", "aosp"):
            path = phone.export_words(kind)
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert "Zanzibar" in path.read_text()
        moved = tmp_path / "words.txt"
        moved.write_text(phone.export_words("gboard").read_text())
        phone.delete_everything()
        assert phone.settle()
        assert learned(phone) == []
        assert phone.import_words(moved) == 2
        assert phone.settle()
        assert learned(phone) == ["zanzibar"]

    def test_undoing_goes_back_word_by_word(self, open_phone: Open) -> None:
        phone = open_phone()
        for character in "so it is":
            phone.session.type(character)
        texts = []
        for _ in range(6):
            phone.session.undo()
            texts.append(phone.session.state.text)
        assert "so it " in texts
        assert texts[-1] == ""
        for _ in range(6):
            phone.session.redo()
        assert phone.session.state.text == "so it is"
