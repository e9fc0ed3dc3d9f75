"""The thread that suggests: what is waited for."""

import threading

from keyboard_app.editor.editor import EditorState
from keyboard_app.typing.suggesting import Suggesting


class Work:
    """Work that goes on until it is told to end."""

    def __init__(self) -> None:
        self.began, self.ends = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.began.set()
        assert self.ends.wait(60)


def test_an_answer_is_waited_for_and_not_the_work_that_comes_after_it() -> None:
    suggesting, before, after = Suggesting(lambda: None, lambda _: None), Work(), Work()
    assert suggesting.answered(60), "the model is read, and nothing was asked"
    suggesting.do(before)
    assert before.began.wait(60)
    suggesting.ask(EditorState().request)
    assert not suggesting.answered(0.01), "work that has begun is not broken off"
    suggesting.do(after)
    before.ends.set()
    assert suggesting.answered(60)
    assert after.began.wait(60)
    assert suggesting.answered(0.0)
    assert not suggesting.settle(0.01)
    after.ends.set()
    suggesting.close()
