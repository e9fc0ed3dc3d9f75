"""The server's side: one type for each phase, which takes messages and is closed into the next phase.

    CollectAdvertisements -> CollectShares -> CollectMaskedInputs -> CollectConfirmations -> CollectUnmasking
    -> Aggregate

Each phase has `receive(message)`, which checks a message fully before it changes anything, and `close()`, which ends
the step or says how many phones are missing. The server has no secrets and no randomness: its state follows from the
messages received and the order of `close`, so one that restarts replays what it stored and asks for nothing twice.
An identical message received again, also after `close`, is acknowledged and ignored.

`check(message)` does all of `receive` that does not depend on what others sent in the same step, and changes nothing:
threads may call it at the same time. Callers of everything else hold a lock for each session.
"""

# Longer than others: the phases of one protocol, each of which ends in the next.

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from federation.secure_aggregation import keys, masks, shamir
from federation.secure_aggregation.errors import (
    Blame,
    ConflictingMessageError,
    MalformedMessageError,
    MismatchError,
    OutOfOrderError,
    TooFewPhonesError,
    UnmaskingError,
    WindowClosedError,
)
from federation.secure_aggregation.identity import Authority
from federation.secure_aggregation.messages import (
    DEALT_BYTES,
    Advertisement,
    Inbox,
    Kind,
    Sealed,
    Signatures,
    Survivors,
    bitmap_bytes,
    members,
    parse_shares,
    split,
)
from federation.secure_aggregation.session import Roster, SessionParameters
from federation.secure_aggregation.shamir import SHARE_BYTES, Effort
from federation.secure_aggregation.vector import Vector


class CollectAdvertisements:
    """Phones advertise their keys.

    Args:
        parameters: of the session.
        authority: whose devices may take part.
        room: for phones, if more may join than a session has because they are split into groups afterwards.
    """

    def __init__(self, parameters: SessionParameters, authority: Authority, room: int | None = None) -> None:
        self._parameters = parameters
        self._authority = authority
        self._room = parameters.maximum if room is None else room
        self._phones: dict[bytes, Advertisement] = {}
        self._keys: set[bytes] = set()
        self._closed = False

    @property
    def received(self) -> int:
        """How many phones have joined."""
        return len(self._phones)

    def check(self, message: bytes) -> bytes:
        """Return the device id of the sender of an advertisement that is right by itself.

        Raises:
            MalformedMessageError: wrong size, version or kind, or a key of low order.
            MismatchError: made for another plan.
            BadSignatureError: not certified, or not signed by the device.
        """
        return self._checked(message).device_id

    def receive(self, message: bytes) -> bytes:
        """Take an advertisement and return the device id of its sender.

        Raises:
            MalformedMessageError, MismatchError, BadSignatureError: see `check`.
            ConflictingMessageError: the device advertised other keys before, or these are another device's.
            WindowClosedError: the roster is complete.
        """
        return self._join(self._checked(message))

    def restore(self, message: bytes) -> bytes:
        """Take an advertisement that `check` has passed before: its signatures are not looked at again.

        Raises:
            MalformedMessageError, MismatchError: it was not this one.
            ConflictingMessageError, WindowClosedError: see `receive`.
        """
        return self._join(Advertisement.parse(message, self._parameters.plan_hash))

    def _checked(self, message: bytes) -> Advertisement:
        phone = Advertisement.parse(message, self._parameters.plan_hash)
        phone.check_signature(self._parameters.plan_hash)
        self._authority.check(phone.device_id, phone.identity_key, phone.certificate)
        for key in (phone.mask_key, phone.share_key):
            keys.agree(_ANY_PRIVATE_KEY, key)
        return phone

    def _join(self, phone: Advertisement) -> bytes:
        known = self._phones.get(phone.device_id)
        if known == phone:
            return phone.device_id
        if known is not None:
            raise ConflictingMessageError("advertised other keys before", phone.device_id)
        if self._closed or len(self._phones) == self._room:
            raise WindowClosedError("the roster is complete: wait for the next round")
        new_keys = {phone.identity_key, phone.mask_key, phone.share_key}
        if len(new_keys) < 3 or new_keys & self._keys:
            raise ConflictingMessageError("advertised keys that are in use", phone.device_id)
        self._phones[phone.device_id] = phone
        self._keys |= new_keys
        return phone.device_id

    def close(self) -> "CollectShares":
        """Fix the roster.

        Raises:
            TooFewPhonesError: fewer than the plan's minimum have joined.
        """
        if self._closed:
            raise OutOfOrderError(type(self).__name__)
        if len(self._phones) < self._parameters.minimum:
            raise TooFewPhonesError("advertise keys", len(self._phones), self._parameters.minimum)
        self._closed = True
        return CollectShares(self._parameters, Roster.of(self._parameters.plan_hash, tuple(self._phones.values())))


# Agreeing with any key shows whether a public key is one of low order.
_ANY_PRIVATE_KEY = keys.private_key(bytes(range(masks.KEY_BYTES)))


class _Collect(ABC):
    """A step of phones on the roster.

    Args:
        parameters: of the session.
        roster: of the session.
        allowed: indices of the phones that may send.
    """

    _kind: Kind

    def __init__(self, parameters: SessionParameters, roster: Roster, allowed: Iterable[int]) -> None:
        self._parameters = parameters
        self._roster = roster
        self._allowed = frozenset(allowed)
        self._digests: dict[int, bytes] = {}
        self._closed = False

    @property
    def received(self) -> int:
        """How many phones have taken this step."""
        return len(self._digests)

    @property
    def roster(self) -> Roster:
        """The phones of the session."""
        return self._roster

    def check(self, message: bytes) -> bytes:
        """Return the device id of the sender of a message that is right by itself.

        Raises:
            MalformedMessageError: wrong size, version, kind, sender or contents.
            MismatchError: made for another session.
            BadSignatureError: not signed by that phone.
            WindowClosedError: the phone missed an earlier step.
        """
        sealed, _ = self._opened(message)
        self._check(sealed)
        return self._roster.phones[sealed.sender].device_id

    def receive(self, message: bytes) -> bytes:
        """Take a phone's message and return its device id.

        Raises:
            MalformedMessageError, MismatchError, BadSignatureError: see `check`.
            ConflictingMessageError: the phone sent something else before.
            WindowClosedError: the step is over, or the phone missed an earlier one.
        """
        sealed, digest = self._opened(message)
        device_id = self._roster.phones[sealed.sender].device_id
        known = self._digests.get(sealed.sender)
        if known == digest:
            return device_id
        if known is not None:
            raise ConflictingMessageError(f"sent another {self._kind.name} before", device_id)
        if self._closed:
            raise WindowClosedError(f"{self._kind.name} came too late: wait for the next round")
        self._check(sealed)
        self._store(sealed)
        self._digests[sealed.sender] = digest
        return device_id

    def _opened(self, message: bytes) -> tuple[Sealed, bytes]:
        """Return a message of this step that its sender signed, and its digest."""
        return self._signed(message, self._kind, self._payload_bytes())

    def _signed(self, message: bytes, kind: Kind, payload_bytes: int) -> tuple[Sealed, bytes]:
        sealed = Sealed.parse(message, kind, self._roster.sid, payload_bytes)
        if sealed.sender >= self._roster.n:
            raise MalformedMessageError(f"there is no phone {sealed.sender} on a roster of {self._roster.n}")
        phone = self._roster.phones[sealed.sender]
        return sealed, sealed.check(phone.identity_key, phone.device_id)

    def _check(self, sealed: Sealed) -> None:
        """Check what a phone signed."""
        if sealed.sender not in self._allowed:
            raise WindowClosedError(
                f"{self._kind.name} of a phone that missed an earlier step: wait for the next round"
            )

    @abstractmethod
    def _payload_bytes(self) -> int:
        """Return the size that a payload of this step has."""

    @abstractmethod
    def _store(self, sealed: Sealed) -> None:
        """Keep what is needed of a checked message."""

    def _taken(self, needed: int) -> tuple[int, ...]:
        """Return who took this step, ascending, if it may be closed."""
        if self._closed:
            raise OutOfOrderError(type(self).__name__)
        if len(self._digests) < needed:
            raise TooFewPhonesError(self._kind.name.lower().replace("_", " "), len(self._digests), needed)
        return tuple(sorted(self._digests))

    @property
    def _quorum(self) -> int:
        return self._roster.quorum(self._parameters)


class CollectShares(_Collect):
    """Phones check the roster and deal encrypted shares."""

    _kind = Kind.SHARES

    def __init__(self, parameters: SessionParameters, roster: Roster) -> None:
        super().__init__(parameters, roster, range(roster.n))
        self._dealt: dict[int, list[bytes]] = {}

    @property
    def roster_message(self) -> bytes:
        """For every phone of the roster."""
        return self._roster.to_bytes()

    def close(self) -> "CollectMaskedInputs":
        """Fix who shared keys.

        Raises:
            TooFewPhonesError: fewer than the quorum did.
        """
        sharers = self._taken(self._quorum)
        self._closed = True
        return CollectMaskedInputs(self._parameters, self._roster, sharers, self._dealt)

    def _payload_bytes(self) -> int:
        return (self._roster.n - 1) * DEALT_BYTES

    def _store(self, sealed: Sealed) -> None:
        self._dealt[sealed.sender] = split(sealed.payload, DEALT_BYTES)


class CollectMaskedInputs(_Collect):
    """Phones fetch their inboxes, train, and upload; vectors are added up as they come and not kept."""

    _kind = Kind.MASKED_INPUT

    def __init__(
        self, parameters: SessionParameters, roster: Roster, sharers: tuple[int, ...], dealt: dict[int, list[bytes]]
    ) -> None:
        super().__init__(parameters, roster, sharers)
        self._sharers = sharers
        self._dealt = dealt
        self._sum = parameters.vector.zeros()

    def inbox_message(self, device_id: bytes) -> bytes:
        """Return what the others dealt to one phone.

        Raises:
            WindowClosedError: this phone dealt no shares in time.
        """
        ids = {self._roster.phones[index].device_id: index for index in self._sharers}
        if device_id not in ids:
            raise WindowClosedError("this device shared no keys: wait for the next round")
        recipient = ids[device_id]
        # A dealer's ciphertexts leave out the dealer.
        dealt = [
            self._dealt[dealer][recipient - (recipient > dealer)] for dealer in self._sharers if dealer != recipient
        ]
        return Inbox(recipient, self._sharers, tuple(dealt)).to_bytes(self._roster.sid, self._roster.n)

    def accused(self, message: bytes) -> tuple[bytes, tuple[bytes, ...]]:
        """Return who complains of shares that are not authentic, and about whom; it changes nothing.

        Raises:
            MalformedMessageError: wrong size, version, kind or sender, or it names the sender or who dealt nothing.
            MismatchError: made for another session.
            BadSignatureError: not signed by that phone.
            WindowClosedError: the phone missed an earlier step.
        """
        n = self._roster.n
        sealed, _ = self._signed(message, Kind.COMPLAINT, bitmap_bytes(n))
        super()._check(sealed)
        dealers = members(sealed.payload, n)
        if not dealers or sealed.sender in dealers or not set(dealers) <= set(self._sharers):
            raise MalformedMessageError("a complaint names phones that dealt something to who complains")
        phones = self._roster.phones
        return phones[sealed.sender].device_id, tuple(phones[dealer].device_id for dealer in dealers)

    def close(self) -> "CollectConfirmations":
        """Fix who survived.

        Raises:
            TooFewPhonesError: fewer than the quorum did.
        """
        sets = Survivors(self._sharers, self._taken(self._quorum))
        self._closed = True
        return CollectConfirmations(self._parameters, self._roster, sets, self._sum)

    def _payload_bytes(self) -> int:
        return self._parameters.vector.nbytes

    def _store(self, sealed: Sealed) -> None:
        self._sum.add(self._parameters.vector.parse(sealed.payload))


class CollectConfirmations(_Collect):
    """Phones sign who survived."""

    _kind = Kind.CONSISTENCY

    def __init__(self, parameters: SessionParameters, roster: Roster, sets: Survivors, masked_sum: Vector) -> None:
        super().__init__(parameters, roster, sets.survivors)
        self._sets = sets
        self._sum = masked_sum
        self._signatures: dict[int, bytes] = {}

    @property
    def survivors_message(self) -> bytes:
        """For every survivor."""
        return self._sets.to_bytes(self._roster.sid, self._roster.n)

    def close(self) -> "CollectUnmasking":
        """Fix the signatures.

        Raises:
            TooFewPhonesError: fewer than the threshold signed.
        """
        signers = self._taken(self._roster.threshold)[: self._roster.threshold]
        self._closed = True
        signatures = Signatures(signers, tuple(self._signatures[signer] for signer in signers))
        return CollectUnmasking(self._parameters, self._roster, self._sets, self._sum, signatures)

    def _payload_bytes(self) -> int:
        return 2 * bitmap_bytes(self._roster.n)

    def _check(self, sealed: Sealed) -> None:
        super()._check(sealed)
        if sealed.payload != self._sets.payload(self._roster.n):
            raise MismatchError("the phone signed other survivors than the server's")

    def _store(self, sealed: Sealed) -> None:
        self._signatures[sealed.sender] = sealed.signature


@dataclass(frozen=True)
class Aggregate:
    """The result of a session.

    Attributes:
        vector: the sum of the survivors' vectors, modulo the size of its integers.
        survivors: device ids of the phones in the sum.
        blame: who sent false shares; the sum is right nevertheless.
    """

    vector: Vector
    survivors: tuple[bytes, ...]
    blame: Blame


class CollectUnmasking(_Collect):
    """Phones reveal one share of each other phone: of a survivor's self mask, of a drop-out's mask key."""

    _kind = Kind.UNMASKING

    def __init__(
        self,
        parameters: SessionParameters,
        roster: Roster,
        sets: Survivors,
        masked_sum: Vector,
        signatures: Signatures,
    ) -> None:
        super().__init__(parameters, roster, sets.survivors)
        self._sets = sets
        self._sum = masked_sum
        self._signatures = signatures
        self._shares: dict[int, list[bytes]] = {}

    @property
    def signatures_message(self) -> bytes:
        """For every survivor that signed."""
        return self._signatures.to_bytes(self._roster.sid, self._roster.n)

    def close(self, effort: Effort | None = None) -> Aggregate:
        """Take the masks off the sum.

        Args:
            effort: that may go into correcting false shares; sessions of a round share one.

        Raises:
            TooFewPhonesError: fewer than the threshold answered.
            UnmaskingError: the shares of some phones are false beyond repair.
        """
        holders = self._taken(self._roster.threshold)
        phones, sid = self._roster.phones, self._roster.sid
        survivors, recovery = self._sets.survivors, _Recovery(self._roster, holders, effort or Effort())
        plus: list[bytes] = []
        minus: list[bytes] = []
        for position, dealer in enumerate(self._sets.sharers):
            shares = {holder: self._shares[holder][position] for holder in holders}
            if dealer in survivors:
                seed = recovery.secret(dealer, shares, partial(_is_committed, phones[dealer].commitment))
                minus += [keys.self_mask_key(seed, sid, dealer)] if seed is not None else []
                continue
            private = recovery.secret(dealer, shares, partial(_is_private_key, phones[dealer].mask_key))
            if private is None:
                continue
            mask_key = keys.private_key(private)
            for survivor in survivors:
                key = keys.pairwise_mask_key(keys.agree(mask_key, phones[survivor].mask_key), sid, survivor, dealer)
                (minus if survivor < dealer else plus).append(key)
        blame = recovery.blame()
        if recovery.missing:
            raise UnmaskingError(frozenset(phones[dealer].device_id for dealer in recovery.missing), blame)
        masks.apply(self._sum, plus, minus)
        self._closed = True
        self._shares.clear()
        return Aggregate(self._sum, tuple(phones[index].device_id for index in survivors), blame)

    def _payload_bytes(self) -> int:
        return len(self._sets.sharers) * SHARE_BYTES

    def _check(self, sealed: Sealed) -> None:
        super()._check(sealed)
        parse_shares(sealed.payload)

    def _store(self, sealed: Sealed) -> None:
        self._shares[sealed.sender] = split(sealed.payload, SHARE_BYTES)


def _is_committed(commitment: bytes, seed: bytes) -> bool:
    return keys.commitment(seed) == commitment


def _is_private_key(public: bytes, private: bytes) -> bool:
    return keys.public_key(private) == public


class _Recovery:
    """Secrets from shares, and who sent false ones.

    Who sent one false share is no longer relied on for the others: so a liar costs one correction, and not one
    for each phone of the cohort.

    Args:
        roster: of the session.
        holders: who answered, at least as many as the threshold.
        effort: for correcting shares.
    """

    def __init__(self, roster: Roster, holders: Sequence[int], effort: Effort) -> None:
        self.missing: set[int] = set()
        self._roster = roster
        self._threshold = roster.threshold
        self._holders = holders
        self._effort = effort
        self._caught: set[int] = set()
        self._predicting: dict[int, list[int]] = {}
        self._may_deviate = roster.n // 3
        self._refuted: set[int] = set()
        self._pairs: set[tuple[int, int]] = set()
        self._rely_on(holders)

    def secret(self, dealer: int, shares: Mapping[int, bytes], accept: Callable[[bytes], bool]) -> bytes | None:
        """Return the secret of `dealer` that `accept` takes, from shares by holder; note false ones if it is hard."""
        relied_on = [shares[holder] for holder in self._relied_on]
        candidate = shamir.combine(self._coefficients, relied_on)
        if accept(candidate):
            for holder, coefficients in self._predicting.items():
                if shamir.combine(coefficients, relied_on) != shares[holder]:
                    self._pairs.add((dealer, holder))
            return candidate
        found, misfits = shamir.correct(shares, self._threshold, accept, self._effort)
        if found is not None:
            self._pairs |= {(dealer, holder) for holder in misfits}
            self._rely_on([holder for holder in self._holders if holder not in self._caught | misfits])
            return found
        self.missing.add(dealer)
        # Then so many honest shares lie on one polynomial that it is the dealer's, and not what the dealer published.
        if len(shares) - len(misfits) - self._may_deviate >= self._threshold:
            self._refuted.add(dealer)
        return None

    def _rely_on(self, holders: Sequence[int]) -> None:
        """Combine the shares of these from now on, and look whether those of the others fit, if there are enough."""
        if len(holders) < self._threshold:
            return
        self._caught = set(self._holders).difference(holders)
        self._relied_on = holders[: self._threshold]
        self._coefficients = shamir.coefficients(self._relied_on)
        self._predicting = {
            holder: shamir.coefficients(self._relied_on, holder)
            for holder in sorted(self._caught)
            if self._effort.spend(shamir.COEFFICIENTS * self._threshold**2)
        }

    def blame(self) -> Blame:
        """Return who sent false shares."""
        partners: defaultdict[int, set[int]] = defaultdict(set)
        for dealer, holder in self._pairs:
            partners[dealer].add(holder)
            partners[holder].add(dealer)
        certain = self._refuted | {phone for phone, others in partners.items() if len(others) > self._may_deviate}
        suspects = self.missing | certain
        unexplained = {pair for pair in self._pairs if not suspects.intersection(pair)}
        while unexplained:
            counts = Counter(phone for pair in unexplained for phone in pair)
            most = max(counts.values())
            suspects |= {phone for phone, count in counts.items() if count == most}
            unexplained = {pair for pair in unexplained if not suspects.intersection(pair)}
        return Blame(self._ids(certain), self._ids(suspects))

    def _ids(self, indices: Iterable[int]) -> frozenset[bytes]:
        return frozenset(self._roster.phones[index].device_id for index in indices)
