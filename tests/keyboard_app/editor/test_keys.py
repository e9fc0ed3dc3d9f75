"""Keys of every layout: where they are, what they type, and that the model's slips are those of the keys drawn."""

import itertools

import pytest

from keyboard_app.editor.editor import EditorState, Offer, Shift, typed_by
from keyboard_app.editor.keys import COLUMNS, Action, Board, Layer, key_at, page, rows
from model.languages import CODES, language, layouts
from model.suggestions.keys import geometry
from model.text import CLUSTERS

BOARDS = [
    Board(name, number_row, two)
    for name in sorted(layouts())
    for number_row, two in itertools.product((False, True), repeat=2)
]


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_keys_fill_the_keyboard_and_do_not_overlap(board: Board) -> None:
    for layer in (Layer.LETTERS, Layer.SYMBOLS, Layer.MORE_SYMBOLS):
        keys = page(layer, board)
        for row in range(int(rows(layer, board))):
            own = sorted((key.left, key.width) for key in keys if key.top == row)
            assert own[0][0] >= 0
            assert own[-1][0] + own[-1][1] <= COLUMNS + 1e-9
            assert all(left + width <= after + 1e-9 for (left, width), (after, _) in itertools.pairwise(own))
        for key in keys:
            assert key_at(layer, key.left + key.width / 2, key.top + 0.5, board) is key


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_letters_are_where_the_model_expects_slips(board: Board) -> None:
    down = float(board.number_row)
    for letter, place in geometry(board.layout).places.items():
        found = key_at(Layer.LETTERS, place.left + place.width / 2, place.top + down + 0.5, board)
        assert found is not None
        assert (found.types, found.width) == (letter, place.width)


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_a_board_has_what_it_promises(board: Board) -> None:
    keys = page(Layer.LETTERS, board)
    assert ({*"1234567890"} <= {key.types for key in keys}) == board.number_row
    assert (Action.NEXT_LAYOUT in {key.action for key in keys}) == board.two_layouts
    assert {Action.EMOJI, Action.RETURN, Action.BACKSPACE, Action.SHIFT} <= {key.action for key in keys}


@pytest.mark.parametrize("name", sorted(layouts()))
def test_every_letter_can_be_typed_and_alternatives_are_single_characters(name: str) -> None:
    for key in page(Layer.LETTERS, Board(name)):
        assert all(len(CLUSTERS.findall(one)) == 1 and one != key.types for one in key.alternatives)
        if key.action is None and key.types != " ":
            assert EditorState(shift=Shift.OFF).press(key, 0.0).state.text == key.types


@pytest.mark.parametrize(("types", "shifted"), [("क", "ख"), ("ा", "आ"), ("द", "ध"), ("म", "ण")])
def test_shift_types_the_other_letter_of_devanagari(types: str, shifted: str) -> None:
    key = next(key for key in page(Layer.LETTERS, Board("devanagari")) if key.types == types)
    assert (typed_by(key, Shift.OFF), typed_by(key, Shift.ONCE), typed_by(key, Shift.LOCK)) == (types, shifted, shifted)
    assert key.alternatives[0] == shifted, "a long press gives it, too"


def test_sentences_begin_without_shift_where_there_are_no_capitals() -> None:
    state = EditorState().on_keys(cased=False)
    assert state.shift is Shift.OFF
    key = next(key for key in page(Layer.LETTERS, Board("devanagari")) if key.types == "न")
    state = state.tap_shift(0.0).state.press(key, 1.0).state
    assert (state.text, state.shift) == (key.shifted, Shift.OFF), "shift is for one letter"
    assert state.send().state.shift is Shift.OFF
    assert state.send().state.on_keys(cased=True).shift is Shift.ONCE


def test_a_long_press_on_return_begins_a_line() -> None:
    key = next(key for key in page(Layer.LETTERS) if key.action is Action.RETURN)
    assert key.alternatives == ("\n",)


@pytest.mark.parametrize("code", CODES)
def test_the_layout_of_a_language_has_its_letters(code: str) -> None:
    rules = language(code)
    keys = page(Layer.LETTERS, Board(rules.layout))
    typed = {key.types for key in keys} | {key.shifted for key in keys}
    typed |= {one for key in keys for one in key.alternatives} | {"\u200d", "\u200c"}
    common = sorted(rules.words, key=rules.words.__getitem__)[-2000:]
    assert {letter for word in common for letter in word} <= typed | set("'-.’ 0123456789") | set("ॅॐढ़ड़य़ख़ग़ज़फ़क़")


@pytest.mark.parametrize(("before", "typed", "after"), [("so ", "pizza", "so pizza 🍕 "), ("", "Pizza", "Pizza 🍕 ")])
def test_an_emoji_of_the_strip_stands_behind_its_word(before: str, typed: str, after: str) -> None:
    state = EditorState().type(before + typed, 0.0).state
    assert state.request is not None
    offered = state.take(Offer(state.request, emoji="🍕"))
    slot = offered.slots[2]
    assert slot is not None
    assert slot.text == "🍕"
    assert offered.accept(2).state.text == after
    assert state.type("s", 1.0).state.take(Offer(state.request, emoji="🍕")).slots == (None, None, None)
