"""What one sees and touches: plain Kivy with a few widgets of our own. The only package that imports Kivy."""

import logging
import os

# Before Kivy is imported anywhere: it reads these then.
os.environ.setdefault("KIVY_NO_ARGS", "1")  # the command line is ours
os.environ.setdefault("KIVY_NO_CONFIG", "1")  # no file of another Kivy application changes this one
os.environ.setdefault("KIVY_IMAGE", "sdl2")  # one is enough, and the others take time to import
os.environ.setdefault("KIVY_CLIPBOARD", "sdl2")  # the window's own: others start programs
os.environ.setdefault("KIVY_WINDOW", "sdl2")  # another one ends the process where there is no display
os.environ.setdefault("KIVY_LOG_MODE", "PYTHON")  # neither logging nor tracebacks are taken over
os.environ.setdefault("KCFG_KIVY_LOG_LEVEL", "error")  # its configuration sets the level, whatever was set before
# Of what needs other programs: touch screens without a desktop, a second clipboard.
logging.getLogger("kivy").addFilter(lambda record: not str(record.msg).startswith(("Input: MTDev", "Cutbuffer")))
