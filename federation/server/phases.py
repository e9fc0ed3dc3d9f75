"""A round's place in the protocol, rebuilt from the messages that were accepted.

The protocol's server has no secrets and no randomness (`federation.secure_aggregation.server`), so any worker can stand
where the round stands by replaying what is stored; none has to remember anything.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from federation.protocol.plan import RoundPlan
from federation.protocol.steps import STEPS, Step
from federation.secure_aggregation import Authority, Roster
from federation.secure_aggregation.messages import Advertisement, Survivors
from federation.secure_aggregation.server import (
    Aggregate,
    CollectAdvertisements,
    CollectConfirmations,
    CollectMaskedInputs,
    CollectShares,
    CollectUnmasking,
)
from federation.secure_aggregation.shamir import Effort


class Ended(StrEnum):
    """How a round ended."""

    FINISHED = "finished"
    ABANDONED = "abandoned"


Phase = Step | Ended
"""Of a round: the step that is open, or its end."""


def phase_of(stored: str) -> Phase:
    """Return a phase as the database has it."""
    return Step(stored) if stored in STEPS else Ended(stored)


def after(step: Step) -> Phase:
    """Return the phase that follows a step."""
    return Ended.FINISHED if step is STEPS[-1] else STEPS[STEPS.index(step) + 1]


def advertising(
    plan: RoundPlan, authority: Authority, stored: Iterable[bytes], room: int | None = None
) -> CollectAdvertisements:
    """Return the first step with these messages, whose signatures were checked before they were stored.

    Args:
        plan: of the round.
        authority: whose devices take part.
        stored: of a group, or of all phones of the round.
        room: for phones, if the messages are of all.
    """
    phase = CollectAdvertisements(plan.session, authority, room)
    for message in stored:
        phase.restore(message)
    return phase


def advertised_keys(plan: RoundPlan, message: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the public keys of an advertisement that was checked."""
    phone = Advertisement.parse(message, plan.session.plan_hash)
    return phone.identity_key, phone.mask_key, phone.share_key


def masking(shares: CollectShares, messages: Iterable[bytes]) -> CollectMaskedInputs:
    """Return the step in which phones upload, when these shared keys."""
    for message in messages:
        shares.receive(message)
    return shares.close()


def confirming(
    plan: RoundPlan, roster: Roster, sharers: Sequence[bytes], survivors: Sequence[bytes]
) -> CollectConfirmations:
    """Return the step in which phones sign who survived, without the masked sum.

    Checking signatures and shares does not need it, so only the process that unmasks reads the vectors.

    Args:
        plan: of the round.
        roster: of the round.
        sharers: device ids.
        survivors: device ids.
    """
    indices = {phone.device_id: index for index, phone in enumerate(roster.phones)}
    sets = Survivors(*(tuple(sorted(indices[device] for device in devices)) for devices in (sharers, survivors)))
    return CollectConfirmations(plan.session, roster, sets, plan.session.vector.zeros())


def unmasking(confirmations: CollectConfirmations, messages: Iterable[bytes]) -> CollectUnmasking:
    """Return the last step, when phones have sent these signatures."""
    for message in messages:
        confirmations.receive(message)
    return confirmations.close()


def aggregate(
    inputs: CollectMaskedInputs,
    uploads: Iterable[bytes],
    signatures: Iterable[bytes],
    answers: Iterable[bytes],
    effort: Effort,
) -> Aggregate:
    """Return the sum; of `uploads`, which may be a stream, one is in memory at a time.

    All groups of a round share one `effort`.

    Raises:
        TooFewPhonesError, UnmaskingError: see `CollectUnmasking.close`.
    """
    for upload in uploads:
        inputs.receive(upload)
    last = unmasking(inputs.close(), signatures)
    for answer in answers:
        last.receive(answer)
    return last.close(effort)
