"""The keyboard as an input method of IBus, for every application of a desktop. The only package that imports `gi`."""
