"""Shared by all tests."""

import os

# Before TensorFlow is imported anywhere: its start-up notices are not ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
