"""Paint a phone's window once, on this processor: paint.py EXPORT PROFILES OUT writes OUT.png and OUT.npy."""

import sys
from pathlib import Path

import numpy as np

from keyboard_app.phone import Phone
from keyboard_app.profile import Profile
from keyboard_app.settings import Settings
from keyboard_app.ui.app import Phones
from keyboard_app.ui.screenshots import Camera, write_png

SIZE = (360, 640)

export, profiles, out = map(Path, sys.argv[1:])
profile = Profile.named("painted", profiles)
profile.keep(Settings(consent=True))
camera = Camera(SIZE)
phone = Phone(profile, model=export)
for character in "see you tomor":
    phone.session.type(character)
    assert phone.settle()
pixels = camera.picture(Phones([phone]), SIZE)
write_png(pixels, out.with_suffix(".png"))
np.save(out.with_suffix(".npy"), pixels)
phone.close()
