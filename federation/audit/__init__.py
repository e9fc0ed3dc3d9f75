"""An audit of a round server by anyone: its log, its models and what it says that rounds cost."""

from federation.audit.audit import audit
from federation.audit.heads import SeenLog, seen_logs
from federation.audit.recomputing import Bounds
from federation.audit.report import AuditError, Finding, Report
from federation.audit.sources import HttpSource, Source

__all__ = ["AuditError", "Bounds", "Finding", "HttpSource", "Report", "SeenLog", "Source", "audit", "seen_logs"]
