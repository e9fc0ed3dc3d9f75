"""The operator's pages, at an address of their own: rounds as they happen, models, privacy, bytes; or runs on disk.

Rendered here, kept fresh by htmx and server-sent events, drawn by uPlot; both are in `static/vendor` with their
licences.
Nothing of a person is on them: devices are counted, and reasons are of a fixed vocabulary.
"""

from federation.server.dashboard.app import create_dashboard
from federation.server.dashboard.security import Access

__all__ = ["Access", "create_dashboard"]
