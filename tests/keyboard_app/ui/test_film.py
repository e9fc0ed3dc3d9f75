"""An animation has a picture of everything that changed."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from keyboard_app.ui.app import several_size

pytestmark = pytest.mark.slow  # needs OpenGL

# In a process of its own: a window in memory has the size that it was first opened with.
TAKEN = """
import sys
from pathlib import Path
from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.ui.film import Film
model, folder = map(Path, sys.argv[1:])
phone = Phone(Profile.named("ada", folder), model=model)
assert phone.settle()
film = Film([phone, phone])
lengths = []
def take():
    film.take()
    lengths.append(film.length)
for _ in range(8):
    take()
phone.agree(consent=False)
take()
phone.session.type("hello")
assert phone.settle()
take()
film.write(folder / "made" / "film.gif")
phone.close()
print(*lengths)
"""


def test_a_picture_is_taken_where_something_changed(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKEN, str(model), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    *_, asked, agreed, typed = map(int, done.stdout.split())
    assert asked < 8, "nothing changed"
    assert (agreed, typed) == (asked + 1, asked + 2), "the keys, and what was typed"
    with Image.open(tmp_path / "made" / "film.gif") as read:
        assert getattr(read, "n_frames", 0) == typed
        assert read.size == tuple(side // 2 for side in several_size(2))
