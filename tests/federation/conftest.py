"""Shared by the tests of federation."""

from hypothesis import Phase, settings

# For tests/federation/mutations.py, which asks only whether a test fails, not what its smallest example is.
settings.register_profile("mutation", deadline=None, phases=(Phase.explicit, Phase.generate))
