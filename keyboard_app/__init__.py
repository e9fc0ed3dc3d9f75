"""The phone that one types on; still to be built."""
