"""Secure aggregation: a server learns the sum of the vectors of a cohort of phones, and nothing else about any.

Pure: bytes in, bytes out. The phone, the round server and the tests drive the same state machines, those of
`federation.secure_aggregation.phone` and `federation.secure_aggregation.server`; `docs/secure-aggregation.md` has the
protocol, the layouts and the threat model.

- Bonawitz et al., Practical Secure Aggregation (CCS 2017), https://eprint.iacr.org/2017/281
- Bell et al., Secure Single-Server Aggregation with (Poly)Logarithmic Overhead (CCS 2020),
  https://eprint.iacr.org/2020/704
- Pasquini et al., Eluding Secure Aggregation (CCS 2022), https://arxiv.org/abs/2111.07380
"""

from federation.secure_aggregation import errors, groups, phone, server
from federation.secure_aggregation.identity import Authority, Device, DeviceKey, EnrolmentAuthority, parse_enrolment
from federation.secure_aggregation.server import Aggregate
from federation.secure_aggregation.session import (
    MAX_COHORT,
    MIN_COHORT,
    Roster,
    SessionParameters,
    min_threshold,
)
from federation.secure_aggregation.vector import Vector, VectorFormat

__all__ = [
    "MAX_COHORT",
    "MIN_COHORT",
    "Aggregate",
    "Authority",
    "Device",
    "DeviceKey",
    "EnrolmentAuthority",
    "Roster",
    "SessionParameters",
    "Vector",
    "VectorFormat",
    "errors",
    "groups",
    "min_threshold",
    "parse_enrolment",
    "phone",
    "server",
]
