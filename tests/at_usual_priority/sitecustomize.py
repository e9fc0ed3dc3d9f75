"""Imported at its start by every Python process that a test starts: none of them steps back behind the others.

`tests/keyboard_app/test_training.py` runs without it, and sees that training does step back.
"""

import os

os.nice = lambda _: 0
if hasattr(os, "sched_setscheduler"):
    os.sched_setscheduler = lambda *_: None
