"""The first minute goes on when something was tried, and tells nothing of what a phone cannot do."""

from dataclasses import replace

import pytest

from keyboard_app.editor.editor import EditorState, Offer
from keyboard_app.first_minute import STEPS, FirstMinute
from model.suggestions import Origin, Suggestion


def test_each_thing_that_was_tried_leads_to_the_next() -> None:
    minute = FirstMinute(predicts=True)
    state = EditorState().type("h", 0).state
    assert state.request is not None
    state = state.take(Offer(state.request, (Suggestion("hello", 0.9, Origin.SHARED),)))
    minute.follow(state)
    assert minute.text.startswith("1 of 5")
    state = state.accept(1).state
    minute.follow(state)
    assert minute.text.startswith("2 of 5")
    state = state.type("teh", 1).state
    assert state.request is not None
    state = state.take(Offer(state.request, (), Suggestion("the", 0.9, Origin.CORRECTION))).type(" ", 2).state
    minute.follow(state)
    assert minute.text.startswith("2 of 5"), "the correction was not taken back yet"
    minute.follow(state.backspace().state)
    assert minute.text.startswith("3 of 5")
    minute.next()
    minute.follow(replace(state, incognito=True))
    assert minute.text.startswith("5 of 5")
    assert minute.is_last
    minute.next()
    assert minute.text == ""
    minute.follow(state)
    assert minute.text == ""


@pytest.mark.parametrize("predicts", [True, False])
def test_what_a_phone_cannot_do_is_not_told(*, predicts: bool) -> None:
    minute = FirstMinute(predicts=predicts)
    told = []
    while minute.text:
        told.append(minute.text.split(": ", 1)[1])
        minute.next()
    assert told == [step.text for step in STEPS if predicts or not step.predicts]
