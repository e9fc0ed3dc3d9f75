"""The phone that one types on: editor, typing log, suggestions, training in a process of its own, rounds, screens."""

import os

from keyboard_app import heap

# Before numpy is imported anywhere: its matrices are small here, and each further thread takes memory.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

heap.share()
