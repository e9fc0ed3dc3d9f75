"""Text editing: keys, characters, and the editor as a pure state machine."""
