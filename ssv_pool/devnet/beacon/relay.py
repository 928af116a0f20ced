"""Registrations for builders, and a builder that offers blocks to registered validators."""

from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.containers import DOMAIN_APPLICATION_BUILDER
from ssv_pool.devnet.beacon.intake import ACCEPTED, DUPLICATE, Intake, Verdict
from ssv_pool.devnet.beacon.payloads import NO_RECIPIENT, Payload, PayloadMaker
from ssv_pool.devnet.beacon.record import ObjectKind

LOCAL_VALUE = 10**16
"""What a payload of the node itself claims to pay, in Wei."""

BUILDER_VALUES = (LOCAL_VALUE // 2, 2 * LOCAL_VALUE)
"""What a payload of the builder claims to pay in even and in odd slots, in Wei: less and more than the node's own, so
that a proposer who compares gets blocks of both kinds."""

EVEN_BOOST = 100
"""``builder_boost_factor`` at which both values count as they are."""

ALWAYS_BUILDER = 2**64 - 1
"""``builder_boost_factor`` that prefers the builder whatever it pays."""

CLOCK_TOLERANCE = 10
"""Seconds that a registration may be dated into the future (builder-specs, validator.md)."""

BUILDER_EXTRA_DATA = b"ssv-pool devnet builder"


@dataclass(frozen=True, slots=True)
class Offer:
    """Where a block's payload comes from."""

    payload: Payload
    from_builder: bool


class Relay:
    """Keeps registrations and fee recipients; makes the payloads that follow from them."""

    def __init__(self, intake: Intake, payloads: PayloadMaker, builder: bool) -> None:
        """With ``builder``, registered validators are offered blinded blocks."""
        self._intake = intake
        self._spec = intake.spec
        self._payloads = payloads
        self._builder = builder
        self._registrations: dict[bytes, Any] = {}
        self.fee_recipients: dict[int, bytes] = {}
        """By validator index, 20 bytes each, as ``prepare_beacon_proposer`` said last."""

    # ---- registrations

    def registration(self, pubkey: bytes) -> Any:
        """The SignedValidatorRegistrationV1 in force for a validator, or None."""
        return self._registrations.get(pubkey)

    def register(self, signed: Any) -> Verdict:
        """Check one SignedValidatorRegistrationV1 and put it in force if it is good."""
        message, chain = signed.message, self._intake.chain
        pubkey = bytes(message.pubkey)
        validator = chain.fast.columns.of(chain.current_state()).index_of(pubkey)
        if validator is None:
            return Verdict(f"rejected: no validator has the public key 0x{pubkey.hex()}")
        spec = self._spec
        # For all networks and forks: the genesis version, no validators' root.
        domain = spec.compute_domain(
            spec.DomainType(DOMAIN_APPLICATION_BUILDER), spec.config.GENESIS_FORK_VERSION, spec.Root()
        )
        root = bytes(spec.compute_signing_root(message, domain))
        if not self._intake.signed_by(validator, root, signed.signature):
            return Verdict("rejected: invalid registration signature")
        verdict = self._judge(signed, validator)
        if verdict.text == ACCEPTED:
            self._registrations[pubkey] = signed
        details = {
            "fee_recipient": "0x" + bytes(message.fee_recipient).hex(),
            "gas_limit": int(message.gas_limit),
            "timestamp": int(message.timestamp),
        }
        return self._intake.note(ObjectKind.REGISTRATION, verdict, signed, validator, chain.clock.slot(), details)

    def _judge(self, signed: Any, validator: int) -> Verdict:
        chain, timestamp = self._intake.chain, int(signed.message.timestamp)
        columns = chain.fast.columns.of(chain.current_state())
        if columns.exit_epochs[validator] <= chain.clock.epoch():
            return Verdict("rejected: validator has exited")
        if timestamp > chain.clock.now() + CLOCK_TOLERANCE:
            return Verdict(f"rejected: registration is dated {timestamp}, which is in the future")
        known = self._registrations.get(bytes(signed.message.pubkey))
        if known is None:
            return Verdict(ACCEPTED)
        if known == signed:
            return Verdict(DUPLICATE)
        if timestamp < int(known.message.timestamp):
            return Verdict(f"ignored: one dated {int(known.message.timestamp)} is in force")
        return Verdict(ACCEPTED)

    # ---- payloads

    def terms(self, proposer: int, state: Any) -> tuple[bytes, bytes]:
        """What the proposer asked for: changes when its payloads would be other ones."""
        registration = self._registrations.get(self._intake.chain.fast.columns.of(state).pubkeys[proposer])
        root = bytes(registration.hash_tree_root()) if registration is not None else b""
        return root, self.fee_recipients.get(proposer, NO_RECIPIENT)

    def offer(self, state: Any, proposer: int, boost: int | None, blinded_only: bool = False) -> Offer:
        """The payload for a block.

        Args:
            state: the state that the block is built on, at the block's slot.
            proposer: its validator index.
            boost: percent by which the builder's value counts, None to leave the builder out.
            blinded_only: prefer the builder whatever it pays, as requests for blinded blocks do.
        """
        pubkey = self._intake.chain.fast.columns.of(state).pubkeys[proposer]
        registration = self._registrations.get(pubkey)
        wanted = ALWAYS_BUILDER if blinded_only else boost
        bid = BUILDER_VALUES[int(state.slot) % 2]
        if self._builder and registration is not None and wanted is not None and _builder_wins(bid, wanted):
            message = registration.message
            payload = self._payloads.make(
                state, bytes(message.fee_recipient), bid, BUILDER_EXTRA_DATA, int(message.gas_limit)
            )
            return Offer(payload, from_builder=True)
        recipient = self.fee_recipients.get(proposer, NO_RECIPIENT)
        return Offer(self._payloads.make(state, recipient, LOCAL_VALUE), from_builder=False)


def _builder_wins(bid: int, boost: int) -> bool:
    return boost == ALWAYS_BUILDER or bid * boost // EVEN_BOOST > LOCAL_VALUE
