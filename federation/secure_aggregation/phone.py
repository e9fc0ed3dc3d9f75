"""The phone's side: one type for each phase, each with one step that returns a message and the next phase.

Double masking with a consistency check, as in Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving
Machine Learning (CCS 2017), figure 4, https://eprint.iacr.org/2017/281::

    AdvertiseKeys.advertise() -> message, ShareKeys
    ShareKeys.share(roster) -> message, OpenInbox
    OpenInbox.open(inbox) -> MaskInput             local training belongs after this
    MaskInput.mask(vector) -> message, ConfirmSurvivors
    ConfirmSurvivors.confirm(survivors) -> message, Unmask
    Unmask.unmask(signatures) -> message

A step runs once. When a retry is needed the caller resends the bytes it got: masking twice would give away the
difference of the inputs. When a step refuses what the server sent, the session has ended and its secrets are wiped.
Secrets live in these objects only: a phone whose process died has dropped out of the round. A phase is for one thread.

Guaranteed, if at least two thirds of the cohort follow the protocol and the authority certifies honest devices: the
server learns the sum of at least `SessionParameters.minimum` vectors, and nothing else about any. Not guaranteed: that
the sum is right (phones may lie about their inputs, the server about the sum), or that it says nothing about one phone.
"""

# Longer than others: the phases of one protocol, each of which ends in the next.

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.secure_aggregation import keys, masks
from federation.secure_aggregation.errors import (
    InboxRefusedError,
    OutOfOrderError,
    SignaturesRefusedError,
    SurvivorsRefusedError,
)
from federation.secure_aggregation.identity import Authority, Device
from federation.secure_aggregation.keys import Role, Secret
from federation.secure_aggregation.messages import (
    Advertisement,
    Inbox,
    Kind,
    Signatures,
    Survivors,
    bitmap,
    header,
    seal,
    split,
)
from federation.secure_aggregation.session import Roster, SessionParameters
from federation.secure_aggregation.shamir import SHARE_BYTES, Entropy, field_element, is_field_element, share
from federation.secure_aggregation.vector import Vector


class _Phase:
    """A phase that is left by its only step, or by failing in it."""

    def __init__(self, *secrets: Secret) -> None:
        self._secrets = secrets
        self._left = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("a phase holds secrets: it stays in memory and is not pickled or copied")

    @contextmanager
    def _step(self) -> Iterator[None]:
        if self._left:
            raise OutOfOrderError(type(self).__name__)
        self._left = True
        try:
            yield
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave the round: overwrite this phase's secrets."""
        self._left = True
        for secret in self._secrets:
            secret.wipe()


@dataclass(frozen=True)
class _Session:
    """What all phases after the roster know.

    Attributes:
        parameters: of the session.
        device: this phone.
        roster: checked.
        index: of this phone in it.
    """

    parameters: SessionParameters
    device: Device
    roster: Roster = field(repr=False)
    index: int

    @property
    def sid(self) -> bytes:
        return self.roster.sid

    @property
    def n(self) -> int:
        return self.roster.n

    @property
    def quorum(self) -> int:
        return self.roster.quorum(self.parameters)

    def seal(self, kind: Kind, payload: bytes) -> bytes:
        return seal(header(kind, self.index, self.sid), payload, self.device.key.private_key)


@dataclass(frozen=True)
class _HeldShares:
    """Shares of one phone's secrets, of which this phone reveals one at most.

    Attributes:
        self_mask: of the seed of its self mask, revealed if it survived.
        mask_key: of the private key of its pairwise masks, revealed if it dropped out.
    """

    self_mask: Secret
    mask_key: Secret


class AdvertiseKeys(_Phase):
    """Before anything was sent.

    Args:
        parameters: of the session, from a plan that this phone accepted.
        device: this phone.
        authority: whose devices it trusts.
        entropy: source of its secrets; anything but `os.urandom` is for known-answer tests.
    """

    def __init__(
        self, parameters: SessionParameters, device: Device, authority: Authority, entropy: Entropy = os.urandom
    ) -> None:
        super().__init__()
        self._parameters = parameters
        self._device = device
        self._authority = authority
        self._entropy = entropy

    def advertise(self) -> tuple[bytes, "ShareKeys"]:
        """Draw the round's keys and return their advertisement."""
        with self._step():
            secrets = _RoundSecrets(
                Secret(field_element(self._entropy)),
                Secret(self._entropy(masks.KEY_BYTES)),
                Secret(field_element(self._entropy)),
            )
            plan_hash = self._parameters.plan_hash
            own = Advertisement.sign(
                self._device,
                plan_hash,
                keys.public_key(bytes(secrets.mask_key)),
                keys.public_key(bytes(secrets.share_key)),
                keys.commitment(bytes(secrets.self_mask)),
            )
            phase = ShareKeys(self._parameters, self._device, self._authority, self._entropy, own, secrets)
            return own.to_bytes(plan_hash), phase


@dataclass(frozen=True)
class _RoundSecrets:
    """A phone's secrets of one round: two X25519 private keys and the seed of its self mask."""

    mask_key: Secret
    share_key: Secret
    self_mask: Secret


class ShareKeys(_Phase):
    """Keys are advertised; the roster is awaited."""

    def __init__(
        self,
        parameters: SessionParameters,
        device: Device,
        authority: Authority,
        entropy: Entropy,
        own: Advertisement,
        secrets: _RoundSecrets,
    ) -> None:
        super().__init__(secrets.mask_key, secrets.share_key, secrets.self_mask)
        self._parameters = parameters
        self._device = device
        self._authority = authority
        self._entropy = entropy
        self._own = own
        self._round = secrets

    def share(self, roster_message: bytes) -> tuple[bytes, "OpenInbox"]:
        """Check the roster and return the encrypted shares for all others.

        Raises:
            OutOfOrderError: this step was taken before.
            MalformedMessageError, MismatchError, RosterRefusedError, BadSignatureError: see `Roster.check`.
        """
        with self._step():
            roster = Roster.parse(roster_message, self._parameters.plan_hash)
            index = roster.check(self._parameters, self._authority, self._own)
            session = _Session(self._parameters, self._device, roster, index)
            self_mask_shares, mask_key_shares = (
                share(bytes(secret), roster.threshold, roster.n, self._entropy)
                for secret in (self._round.self_mask, self._round.mask_key)
            )
            share_key, mask_key = (
                keys.private_key(bytes(secret)) for secret in (self._round.share_key, self._round.mask_key)
            )
            dealt, inbox_keys, pairwise = [], {}, {}
            for peer in range(roster.n):
                if peer == index:
                    continue
                outgoing, inbox_keys[peer], pairwise[peer] = _agree(share_key, mask_key, session, peer)
                shares = self_mask_shares[peer] + mask_key_shares[peer]
                dealt.append(keys.encrypt_shares(outgoing, session.sid, index, peer, shares))
            own = _HeldShares(Secret(self_mask_shares[index]), Secret(mask_key_shares[index]))
            self._round.mask_key.wipe()
            self._round.share_key.wipe()
            phase = OpenInbox(session, self._round.self_mask, own, inbox_keys, pairwise)
            return session.seal(Kind.SHARES, b"".join(dealt)), phase


def _agree(
    share_key: X25519PrivateKey, mask_key: X25519PrivateKey, session: _Session, peer: int
) -> tuple[bytes, Secret, Secret]:
    """Return the keys of shares to `peer`, of shares from it, and of the mask shared with it."""
    sid, index, other = session.sid, session.index, session.roster.phones[peer]
    shared = keys.agree(share_key, other.share_key)
    outgoing = keys.derive(shared, sid, Role.SHARES, index, peer)
    incoming = keys.derive(shared, sid, Role.SHARES, peer, index)
    shared = keys.agree(mask_key, other.mask_key)
    return outgoing, Secret(incoming), Secret(keys.pairwise_mask_key(shared, sid, index, peer))


class OpenInbox(_Phase):
    """Shares are dealt; those of the others are awaited."""

    def __init__(
        self,
        session: _Session,
        self_mask: Secret,
        own: _HeldShares,
        inbox_keys: dict[int, Secret],
        pairwise: dict[int, Secret],
    ) -> None:
        super().__init__(self_mask, own.self_mask, own.mask_key, *inbox_keys.values(), *pairwise.values())
        self._session = session
        self._self_mask = self_mask
        self._own = own
        self._inbox_keys = inbox_keys
        self._pairwise = pairwise

    def open(self, inbox_message: bytes) -> "MaskInput":
        """Decrypt and keep what the others dealt.

        Raises:
            OutOfOrderError: this step was taken before.
            MalformedMessageError, MismatchError: not an inbox of this session.
            InboxRefusedError: it is another phone's, from too few phones, or a share does not decrypt.
        """
        session = self._session
        with self._step():
            inbox = Inbox.parse(inbox_message, session.sid, session.n)
            if inbox.recipient != session.index or session.index not in inbox.sharers:
                raise InboxRefusedError("the inbox is not this phone's: leave the round")
            if len(inbox.sharers) < session.quorum:
                raise InboxRefusedError(
                    f"{len(inbox.sharers)} phones shared keys, but {session.quorum} are needed: leave the round"
                )
            held, false = {session.index: self._own}, []
            dealers = [sharer for sharer in inbox.sharers if sharer != session.index]
            for dealer, ciphertext in zip(dealers, inbox.dealt, strict=True):
                key = bytes(self._inbox_keys[dealer])
                shares = keys.decrypt_shares(key, session.sid, dealer, session.index, ciphertext)
                if shares is None or not all(map(is_field_element, split(shares, SHARE_BYTES))):
                    false.append(dealer)
                    continue
                held[dealer] = _HeldShares(Secret(shares[:SHARE_BYTES]), Secret(shares[SHARE_BYTES:]))
            if false:
                for secret in _flat(held):
                    secret.wipe()
                device_id = session.roster.phones[false[0]].device_id
                complaint = session.seal(Kind.COMPLAINT, bitmap(false, session.n))
                raise InboxRefusedError(f"the share of {device_id.hex()} is not authentic: leave", device_id, complaint)
            pairwise = {dealer: self._pairwise.pop(dealer) for dealer in dealers}
            for secret in (*self._inbox_keys.values(), *self._pairwise.values()):
                secret.wipe()
            return MaskInput(session, self._self_mask, pairwise, held)


class MaskInput(_Phase):
    """Keys are agreed on with every phone that shared; the phone may train now."""

    def __init__(
        self, session: _Session, self_mask: Secret, pairwise: dict[int, Secret], held: dict[int, _HeldShares]
    ) -> None:
        super().__init__(self_mask, *pairwise.values(), *_flat(held))
        self._session = session
        self._self_mask = self_mask
        self._pairwise = pairwise
        self._held = held

    def mask(self, vector: Vector) -> tuple[bytes, "ConfirmSurvivors"]:
        """Return the masked vector; the message is uniformly random to anyone who lacks the masks.

        Raises:
            ValueError: the vector has another format than the session's; the step may be taken again.
            OutOfOrderError: this step was taken before.
        """
        session = self._session
        session.parameters.vector.check(vector)
        with self._step():
            plus = [keys.self_mask_key(bytes(self._self_mask), session.sid, session.index)]
            plus += [bytes(key) for peer, key in self._pairwise.items() if session.index < peer]
            minus = [bytes(key) for peer, key in self._pairwise.items() if session.index > peer]
            masked = vector.copy()
            masks.apply(masked, plus, minus)
            for secret in (self._self_mask, *self._pairwise.values()):
                secret.wipe()
            message = session.seal(Kind.MASKED_INPUT, masked.to_bytes())
            return message, ConfirmSurvivors(session, self._held)


class ConfirmSurvivors(_Phase):
    """The masked vector is sent; the server's account of who survived is awaited."""

    def __init__(self, session: _Session, held: dict[int, _HeldShares]) -> None:
        super().__init__(*_flat(held))
        self._session = session
        self._held = held

    def confirm(self, survivors_message: bytes) -> tuple[bytes, "Unmask"]:
        """Check who survived, sign it, and forget the share of each phone that must not be revealed.

        Raises:
            OutOfOrderError: this step was taken before.
            MalformedMessageError, MismatchError: not a message of this session.
            SurvivorsRefusedError: the sets contradict this phone's inbox or each other, leave this phone out, or are
                too small.
        """
        session = self._session
        with self._step():
            sets = Survivors.parse(survivors_message, session.sid, session.n)
            survivors = frozenset(sets.survivors)
            if set(sets.sharers) != self._held.keys():
                raise SurvivorsRefusedError("others shared keys than this phone's inbox says: leave the round")
            if not survivors <= self._held.keys():
                raise SurvivorsRefusedError("a phone that shared no keys cannot have survived: leave the round")
            if session.index not in survivors:
                raise SurvivorsRefusedError("this phone uploaded, but is called a drop-out: leave the round")
            if len(survivors) < session.quorum:
                raise SurvivorsRefusedError(
                    f"{len(survivors)} phones survived, but {session.quorum} are needed: leave the round"
                )
            chosen = []
            for member in sets.sharers:
                shares = self._held[member]
                reveal, keep = (shares.self_mask, shares.mask_key)[:: 1 if member in survivors else -1]
                keep.wipe()
                chosen.append(reveal)
            message = session.seal(Kind.CONSISTENCY, sets.payload(session.n))
            return message, Unmask(session, sets, chosen)


class Unmask(_Phase):
    """This phone signed the survivors; the signatures of the others are awaited."""

    def __init__(self, session: _Session, sets: Survivors, chosen: list[Secret]) -> None:
        super().__init__(*chosen)
        self._session = session
        self._sets = sets
        self._chosen = chosen

    @property
    def phones(self) -> int:
        """How many phones are in the sum, as this phone signed."""
        return len(self._sets.survivors)

    def unmask(self, signatures_message: bytes) -> bytes:
        """Return one share of each phone that shared keys, once enough phones signed the same survivors.

        Raises:
            OutOfOrderError: this step was taken before.
            MalformedMessageError, MismatchError: not a message of this session.
            SignaturesRefusedError: fewer than the threshold signed, or one that did not survive.
            BadSignatureError: one signed something else.
        """
        session = self._session
        with self._step():
            signed = Signatures.parse(signatures_message, session.sid, session.n)
            if not set(signed.signers) <= set(self._sets.survivors):
                raise SignaturesRefusedError("a phone that did not survive cannot have signed: leave the round")
            if len(signed.signers) < session.roster.threshold:
                raise SignaturesRefusedError(
                    f"{len(signed.signers)} phones signed the survivors, but {session.roster.threshold} are needed"
                )
            for signer, signature in zip(signed.signers, signed.signatures, strict=True):
                phone = session.roster.phones[signer]
                sealed = self._sets.sealed_by(signer, signature, session.sid, session.n)
                sealed.check(phone.identity_key, phone.device_id)
            message = session.seal(Kind.UNMASKING, b"".join(bytes(secret) for secret in self._chosen))
            self.abandon()
            return message


def _flat(held: dict[int, _HeldShares]) -> list[Secret]:
    return [secret for shares in held.values() for secret in (shares.self_mask, shares.mask_key)]
