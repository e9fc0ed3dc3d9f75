"""Where things are kept unless an option says otherwise."""

from pathlib import Path

import platformdirs

RUNS = Path("runs")


def cache() -> Path:
    """Return the folder for what can always be made again."""
    return platformdirs.user_cache_path("fedkey")
