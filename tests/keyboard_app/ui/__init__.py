"""The screens, painted into memory."""

import keyboard_app.ui  # noqa: F401 - before Kivy: it says what Kivy may read
