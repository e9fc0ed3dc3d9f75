"""Whether a server, or somebody else's phone, does what `docs/protocol.md` says.

`ServerTrial` plays a round as several phones of its own; `PhoneTrial` is a server that a phone is pointed at, plays
rounds with it beside phones of this package, and misbehaves in every way in which a phone must leave.
"""

from federation.conformance.phone_trial import PhoneTrial
from federation.conformance.report import Check, Outcome, Report
from federation.conformance.server_trial import ServerTrial

__all__ = ["Check", "Outcome", "PhoneTrial", "Report", "ServerTrial"]
