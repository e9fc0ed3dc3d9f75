"""What a phone does while one types: suggestions, the encrypted typing log, learning from it."""
