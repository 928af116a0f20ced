"""CPU of a node for many small duties at once: aggregators, each with a consensus of its own, over real sockets.

    scripts/bench instances --validators 40 --slots 4

Four node processes without broker: network, gossip validation, dispatcher, cores, real cryptography. In every slot
every validator aggregates. The figures are CPU milliseconds of one node for one duty: all of it, the part on the event
loop's thread and that on the cores' thread, and the bare cryptography measured in the same run.
"""

import argparse
import cProfile
import json
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trio
from duties import ALAN, ALAN_DOMAIN, FIRST_EPOCH, ROLES, beacon_node, validator_duty
from duties import measure as measure_duty
from duty_operator import Cluster, make_cluster

from ssv_pool.crypto.operator_keys import OperatorKeyring, private_key_from_pem, private_key_to_pem
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.messaging.commands import (
    COMMANDS,
    JOURNAL,
    REQUESTS,
    SUBMISSIONS,
    BeaconAnswer,
    BeaconRequest,
    BeginValidatorDuty,
    JournalEntry,
    validator_duty_key,
)
from ssv_pool.network import Network, NetworkSettings, PeerAddress
from ssv_pool.network.identity import new_identity
from ssv_pool.node.commands import reply_of, start_of
from ssv_pool.node.cores import LocalCores
from ssv_pool.node.dispatcher import Dispatcher, Ports
from ssv_pool.node.gossip import Gossip, accepted_of
from ssv_pool.node.registry import OwnCommittee
from ssv_pool.node.submissions import submission_of
from ssv_pool.observability.logs import configure_logging
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import AskBeacon, DutyRecord, MessageReceived, Outcome, SubmitEffect
from ssv_pool.protocol.types import BeaconRole
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, PublicKey, Root, Slot
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection

SLOTS_PER_EPOCH = 2  # gossip rules allow a validator two aggregations an epoch
AGGREGATOR = next(role for role in ROLES if role.name == "aggregator")


def main() -> None:
    """Run the measurement, or one node of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", type=int, default=4, choices=(4, 7), help="nodes (4)")
    parser.add_argument("--validators", type=int, default=40, help="duties of a slot (40)")
    parser.add_argument("--slots", type=int, default=4, help="slots that count (4)")
    parser.add_argument("--slot-seconds", type=float, default=8.0, help="length of a slot (8)")
    parser.add_argument("--profile", type=Path, help="where the first node's event loop profile is written")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--node", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    configure_logging("WARNING", "console")
    if options.node is None:
        with tempfile.TemporaryDirectory() as folder:
            measure(options, Path(folder))
    else:
        trio.run(Node(options).run)


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Start the nodes, let them do the duties, print what they used."""
    cluster = make_cluster(options.operators, options.validators, ALAN_DOMAIN)
    pems = {number: private_key_to_pem(key) for number, key in cluster.keys.items()}
    parts = (cluster.ids, pems, cluster.public_keys, cluster.validators, cluster.secrets)
    (folder / "cluster").write_bytes(pickle.dumps(parts))
    command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(folder), "--node"]
    nodes = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in cluster.ids
    ]
    try:
        addresses: list[str] = []
        for node in nodes:
            tell(node, {"peers": addresses})
            addresses.append(answer(node)["address"])
        for node in nodes:
            answer(node)
        for node in nodes:
            tell(node, {"genesis": time.time() + 2 - FIRST_EPOCH * SLOTS_PER_EPOCH * options.slot_seconds})
        results = [answer(node) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
            node.wait()
    duties = options.validators * options.slots
    with tempfile.TemporaryDirectory() as place:
        bare = measure_duty(AGGREGATOR, options.operators, 1, 8, Path(place))
    summary = {
        "operators": options.operators,
        "duties_per_slot": options.validators,
        "completed": sum(result["completed"] for result in results) / len(results) / duties,
        "cpu_ms": mean(results, "cpu", duties),
        "event_loop_ms": mean(results, "loop", duties),
        "cores_ms": mean(results, "cores", duties),
        "core_alone_ms": bare["cpu_ms"],
        "cryptography_ms": bare["cryptography_ms"],
        "messages_received": mean(results, "received", duties, 1),
        "duplicates": mean(results, "duplicates", duties, 1),
    }
    if options.json:
        print(json.dumps(summary))
        return
    print("SUMMARY, of one node for one duty")
    for name, value in summary.items():
        print(f"  {name:22} {value}")


def mean(results: list[dict[str, Any]], name: str, duties: int, scale: int = 1000) -> float:
    """Mean of a figure a node and duty."""
    return round(statistics.fmean(result[name] for result in results) / duties * scale, 3)


class Node:
    """One operator's node without broker."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.own = OperatorId(options.node)
        ids, pems, public_keys, validators, secrets = pickle.loads(  # noqa: S301  written by the measuring process
            (options.folder / "cluster").read_bytes()
        )
        key = private_key_from_pem(pems[self.own])
        self.cluster = Cluster(ids, {self.own: key}, public_keys, validators, secrets, ALAN_DOMAIN)
        self.keyring = OperatorKeyring(key)
        self.gossip = Gossip(ALAN, self.keyring)
        self.completed = 0
        self.cores_seconds = 0.0
        self.answer = beacon_node(AGGREGATOR, self.cluster, {})

    async def run(self) -> None:
        """Connect, wait for everybody, do the duties, report."""
        peers = tuple(PeerAddress.parse(text) for text in (await line())["peers"])
        self.network = Network(
            NetworkSettings(new_identity(), host="127.0.0.1", port=0, peers=peers), self.gossip.judge
        )
        self.topic = ALAN.alan.topic(self.cluster.ids)
        await self.network.subscribe(self.topic)
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(self.network.run)
            say({"address": address})
            with trio.fail_after(120):
                others = self.options.operators - 1
                while sum(1 for peer in self.network.peers() if self.topic in peer.topics) < others:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            await trio.sleep(2)  # two heartbeats and more: the meshes have formed
            say({"connected": True})
            genesis = (await line())["genesis"]
            milliseconds = int(self.options.slot_seconds * 1000)
            forks = (ForkVersion(Epoch(0), b"\x60\0\0\0", "fulu"),)
            self.chain = BeaconChain(genesis, Root(bytes(32)), milliseconds, SLOTS_PER_EPOCH, forks)
            await self.set_up(nursery)
            await self.do_duties()
            nursery.cancel_scope.cancel()

    async def set_up(self, nursery: trio.Nursery) -> None:
        """Make signer, cores and dispatcher."""
        shares = self.cluster.shares(self.own)
        signer = LocalSigner(SlashingProtection(self.options.folder / f"slashing-{self.own}.sqlite"))
        for index, share in shares.items():
            signer.add(share.share_pubkey, self.cluster.secrets[index][self.own])
        signer.raise_protection([share.share_pubkey for share in shares.values()], Epoch(0), Epoch(0), Slot(0))
        self.gossip.update(self.cluster.registry(), self.chain)
        cores = LocalCores(ALAN, self.keyring, signer, BlsThreshold(), 36_000_000)
        self.dispatcher = Dispatcher(Ports(self.publish, self.submit, self.ask, self.ended), cores)
        take_turn = self.dispatcher._take_turn  # noqa: SLF001  the only place that sees both threads

        def timed_turn(*arguments: Any) -> Any:
            begun = time.thread_time()
            try:
                return take_turn(*arguments)
            finally:
                self.cores_seconds += time.thread_time() - begun

        self.dispatcher._take_turn = timed_turn  # type: ignore[method-assign,assignment]  # noqa: SLF001
        await nursery.start(self.dispatcher.run)
        nursery.start_soon(self.receive)
        own = OwnCommittee(self.cluster.member(self.own), shares)
        await self.dispatcher.set_committees({self.cluster.committee_id: own}, self.chain)

    async def do_duties(self) -> None:
        """One slot to warm up, then those that count."""
        first = Slot(FIRST_EPOCH * SLOTS_PER_EPOCH)
        profile = cProfile.Profile(time.thread_time) if self.options.profile and self.own == 1 else None
        before: dict[str, float] = {}
        for number in range(1 + self.options.slots):
            slot = Slot(first + number)
            await trio.sleep(max(0.0, self.chain.start_of(slot) - time.time()))
            if number == 1:
                before = self.figures()
                if profile:
                    profile.enable()
            for place, index in enumerate(self.cluster.validators):
                duty = validator_duty(BeaconRole.AGGREGATOR, self.cluster, slot, index, 0)
                due = self.chain.start_of(slot)
                command = BeginValidatorDuty(
                    validator_duty_key(BeaconRole.AGGREGATOR, slot, duty.pubkey),
                    self.cluster.committee_id,
                    duty,
                    due,
                    time.time(),
                    due + 2 * self.options.slot_seconds,
                )
                decoded = COMMANDS.decode(COMMANDS.encode(command))
                self.dispatcher.start(self.cluster.committee_id, start_of(decoded))
                if place % 8 == 7:
                    await trio.lowlevel.checkpoint()
        await trio.sleep(max(0.0, self.chain.start_of(slot + 2) - time.time()))
        if profile:
            profile.disable()
            profile.dump_stats(self.options.profile)
        after = self.figures()
        say({name: after[name] - before[name] for name in after})
        await trio.sleep_forever()

    def figures(self) -> dict[str, float]:
        """Counters so far."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu": usage.ru_utime + usage.ru_stime,
            "loop": time.thread_time(),
            "cores": self.cores_seconds,
            "completed": self.completed,
            "received": self.network.counters.received,
            "duplicates": self.network.counters.duplicates,
        }

    async def receive(self) -> None:
        """Messages of the others."""
        async for message in self.network.messages:
            accepted = accepted_of(message)
            self.dispatcher.receive(MessageReceived(accepted.message, verified=True), accepted.content)

    async def publish(self, _own: OwnCommittee, message: SignedSSVMessage) -> None:
        """Own messages."""
        await self.network.publish(self.topic, message.encode())

    def submit(self, effect: SubmitEffect) -> None:
        """As the outbox encodes it."""
        SUBMISSIONS.encode(submission_of(effect, self.chain))

    def ask(self, request: BeaconRequest) -> None:
        """Answer at once, through both codecs."""
        REQUESTS.encode(request)
        asked = AskBeacon(request.request_id, request.kind, request.slot, request.arguments)
        payload, version = self.answer(asked)
        answer = BeaconAnswer(
            request.key,
            request.committee_id,
            request.public_key,
            request.request_id,
            payload,
            version,
            "",
            request.deadline,
        )
        decoded = COMMANDS.decode(COMMANDS.encode(answer))
        self.dispatcher.reply(decoded.committee_id, PublicKey(decoded.public_key), reply_of(decoded))

    def ended(self, record: DutyRecord) -> None:
        """Count what completed."""
        JOURNAL.encode(JournalEntry(record))
        self.completed += record.outcome is Outcome.COMPLETED


async def line() -> dict[str, Any]:
    """Read a JSON line from the measuring process."""
    return dict(json.loads(await trio.to_thread.run_sync(sys.stdin.readline)))


def say(value: dict[str, Any]) -> None:
    """Write a JSON line to the measuring process."""
    print(json.dumps(value), flush=True)


def tell(node: "subprocess.Popen[str]", value: dict[str, Any]) -> None:
    """Send a node a JSON line."""
    if node.stdin is None:
        raise RuntimeError("node without a pipe")
    node.stdin.write(json.dumps(value) + "\n")
    node.stdin.flush()


def answer(node: "subprocess.Popen[str]") -> dict[str, Any]:
    """Read a JSON line of a node."""
    if node.stdout is None:
        raise RuntimeError("node without a pipe")
    return dict(json.loads(node.stdout.readline()))


if __name__ == "__main__":
    main()
