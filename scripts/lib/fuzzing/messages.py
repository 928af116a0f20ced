"""Messages of the committee: what simulated operators send, and the gossip validator that judges it."""

import functools
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

from fuzzing.model import Target
from fuzzing.mutation import mutate
from ssv_pool.protocol import types as t
from ssv_pool.protocol.events import MessageReceived
from ssv_pool.protocol.forks import ProtocolFork
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.validation import CommitteeView, Validator
from ssv_pool.protocol.validation.view import ValidatorView
from ssv_pool.simulation import plan as plans
from ssv_pool.simulation import standins
from ssv_pool.simulation.profiles import PROFILES
from ssv_pool.simulation.simulator import Simulation


@functools.cache
def traffic(profile: str = "chaos", runs: int = 25) -> tuple[t.SignedSSVMessage, ...]:
    """Messages of simulated committees of four, each once."""
    found: dict[t.SignedSSVMessage, None] = {}
    for seed in range(runs):
        rng = Random(seed)
        plan = plans.draw(PROFILES[profile], 4, 1, rng)
        simulation = Simulation(plan, PROFILES[profile], rng)
        send = simulation.send

        def tap(sender: int, node: Any, event: MessageReceived, extra: float = 0.0, send: Any = send) -> None:
            found.setdefault(event.message)
            send(sender, node, event, extra)

        simulation.send = tap  # type: ignore[method-assign]
        simulation.run()
    return tuple(found)


class View:
    """The registry of the simulated committee."""

    def __init__(self) -> None:
        member = standins.make_member(4, 1)
        self._committees = {member.committee_id: CommitteeView(member.operator_ids, 3, in_sync_committee=True)}

    def committee(self, committee_id: t.CommitteeId) -> CommitteeView | None:
        """The one that there is."""
        return self._committees.get(committee_id)

    def operator_key(self, operator_id: t.OperatorId) -> bytes | None:
        """More operators than the committee has."""
        return standins.operator_key(operator_id) if 0 < operator_id < 20 else None

    def validator(self, public_key: t.PublicKey) -> ValidatorView | None:
        """One in two is registered, the simulated one among them."""
        if (public_key[-1] ^ standins.validator_key(1)[-1]) % 2:
            return None
        committee = next(iter(self._committees.values()))
        return ValidatorView(committee, t.ValidatorIndex(1), False, t.Epoch(0))

    def proposes(self, index: t.ValidatorIndex, slot: t.Slot) -> bool | None:
        """Anything."""
        return (None, True, False)[(slot + index) % 3]

    def in_sync_committee(self, index: t.ValidatorIndex, epoch: t.Epoch) -> bool | None:
        """Anything."""
        return (None, True, False)[(epoch + index) % 3]

    def exits(self, public_key: t.PublicKey, slot: t.Slot) -> int | None:
        """Anything."""
        return (None, 1, 2)[(slot + public_key[0]) % 3]


def resigned(raw: bytes) -> t.SignedSSVMessage | None:
    """The mutated message signed again by its signers, so that it comes past the check of the signatures."""
    try:
        message = t.SignedSSVMessage.decode(raw)
    except ProtocolError:
        return None
    return sign_again(message)


def sign_again(message: t.SignedSSVMessage) -> t.SignedSSVMessage:
    """The message with its signers' signatures."""
    encoded = message.ssv_message.encode()
    signatures = tuple(
        standins.operator_signature(standins.operator_key(signer % 20), encoded) for signer in message.operator_ids
    )
    return replace(message, signatures=signatures)


def inside(rng: Random, messages: tuple[t.SignedSSVMessage, ...]) -> t.SignedSSVMessage:
    """A message changed in its content only, or not at all; its value fits its root again, and its signatures fit."""
    message = messages[int(rng.random() * len(messages))]
    inner = message.ssv_message
    data = mutate(rng, (inner.data,)) if rng.random() < 0.8 else inner.data
    if message.full_data and rng.random() < 0.5:
        message = replace(message, full_data=mutate(rng, (message.full_data,)))
        try:
            content = t.QBFTMessage.decode(data)
        except ProtocolError:
            pass
        else:
            data = replace(content, root=t.Root(sha256(message.full_data).digest())).encode()
    return sign_again(replace(message, ssv_message=replace(inner, data=data)))


def slot_of(message: t.SignedSSVMessage) -> int:
    """The slot a message says it is of; 0 where it does not decode."""
    try:
        if message.ssv_message.msg_type == t.MsgType.CONSENSUS:
            return t.QBFTMessage.decode(message.ssv_message.data).height
        return t.PartialSignatureMessages.decode(message.ssv_message.data).slot
    except ProtocolError:
        return 0


def gossip_target(fork: ProtocolFork, others: Iterable[t.SignedSSVMessage] = ()) -> Target:
    """The gossip validator, with bytes changed anywhere, the same signed again, and messages changed inside.

    Args:
        fork: the fork whose topic it listens to.
        others: valid messages of other roles than the committee's.
    """
    validator = Validator(View(), fork, plans.CHAIN, standins.StandInKeys(1))
    topic = fork.topic(standins.make_member(4, 1).operator_ids)
    # Of each role about as many, or the committee's would be nearly all.
    ordinary, special = traffic(), tuple(others)
    messages = ordinary + special * (1 + len(ordinary) // max(1, len(special)))
    rng = Random(7)
    counter = [0]

    def feed(raw: bytes) -> None:
        counter[0] += 1
        number = counter[0]
        message = None
        if number % 4 == 1:
            message = resigned(raw)
        elif number % 2 == 0:
            message = inside(rng, messages)
        now = plans.CHAIN.start_of(plans.CHAIN.first_slot(plans.FIRST_EPOCH)) + rng.random() * 800
        if message is not None:
            raw = message.encode()
            if 0 < (slot := slot_of(message)) < 100_000:
                now = plans.CHAIN.start_of(slot) + 4 + rng.random() ** 4 * 420
        peer = b"peer %d" % int(rng.random() * 3000)
        validator.validate(peer, topic if number % 97 else "elsewhere", raw, now)

    return Target(tuple(message.encode() for message in messages), feed)
