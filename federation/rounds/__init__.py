"""Rules of a round that need no server and no simulation."""
