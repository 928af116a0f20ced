"""Broker, bus and claims over a real server."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import redis

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.bus import CommandBus, CommandReader, stream_name
from ssv_pool.messaging.claims import Claim, Claims, ClaimState
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import (
    COMMANDS,
    MAX_PAYLOAD_BYTES,
    BeaconAnswer,
    BlockSubmission,
    RegistryChanged,
    StartCommitteeDuty,
)
from ssv_pool.messaging.identity import announce_operator, announced_operator
from ssv_pool.messaging.payloads import INLINE_BYTES, Payloads
from ssv_pool.messaging.tasks import TaskSender, read_submission
from ssv_pool.messaging.valkey import EmbeddedValkey
from ssv_pool.protocol.types import BeaconVote, Checkpoint

pytestmark = pytest.mark.integration


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def valkey(tmp_path):
    server = EmbeddedValkey(tmp_path / "broker")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(valkey):
    with BrokerUrl.unix(valkey.socket).client() as client:
        yield client


def start_duty(key, deadline):
    vote = BeaconVote(bytes(32), Checkpoint(1, bytes(32)), Checkpoint(2, bytes(32)))
    return StartCommitteeDuty(key, bytes(32), 7, (), vote, 1.0, 1.5, deadline)


class TestEmbeddedValkey:
    def test_a_second_start_finds_the_living_one(self, valkey):
        other = EmbeddedValkey(valkey.socket.parent)
        pid = valkey.pid
        assert (other.start(), valkey.pid) == (False, pid)

    def test_only_the_owner_may_use_the_socket(self, valkey):
        assert valkey.socket.stat().st_mode & 0o077 == 0
        assert valkey.socket.parent.stat().st_mode & 0o077 == 0

    def test_stop_ends_it_and_data_come_back(self, valkey, client):
        client.set("kept", "yes")
        pid = valkey.pid
        valkey.stop()
        assert valkey.pid is None
        assert not valkey.alive()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert valkey.start()
        assert client.get("kept") == b"yes"

    def test_acknowledged_data_survive_a_kill(self, valkey, client):
        client.set("kept", "yes")
        os.kill(valkey.pid, signal.SIGKILL)
        until(lambda: not valkey.alive())
        assert valkey.start()
        assert client.get("kept") == b"yes"

    def test_another_object_stops_it(self, valkey):
        EmbeddedValkey(valkey.socket.parent).stop()
        assert not valkey.alive()

    def test_it_dies_with_a_killed_parent(self, tmp_path):
        code = (
            "import sys, time; from pathlib import Path; from ssv_pool.messaging.valkey import EmbeddedValkey\n"
            "s = EmbeddedValkey(Path(sys.argv[1])); s.start(); print(s.pid, flush=True); time.sleep(60)"
        )
        parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        server = EmbeddedValkey(tmp_path)
        until(lambda: not server.alive())
        assert pid > 0

    def test_a_server_that_cannot_start_says_why(self, tmp_path):
        server = EmbeddedValkey(tmp_path)
        (tmp_path / "appendonlydir").write_text("not a folder")
        with pytest.raises(UnavailableError, match=r"embedded broker in .*: ended with status 1: .*"):
            server.start()


class TestBus:
    def test_commands_arrive_once_in_order(self, client):
        bus, reader = CommandBus(client, "op1"), CommandReader(client, "op1")
        first, second = start_duty("a", time.time() + 60), start_duty("b", time.time() + 60)
        bus.publish(first, second)
        bus.publish(first)
        assert reader.read(10) == [first, second]
        assert reader.read(10) == []
        assert (reader.counts.repeated, reader.counts.late) == (1, 0)

    def test_operators_share_a_server_unseen(self, client):
        CommandBus(client, "op1").publish(RegistryChanged(3))
        assert CommandReader(client, "op2").read(10) == []

    def test_late_and_malformed_commands_are_dropped_and_counted(self, client):
        bus, reader = CommandBus(client, "op1"), CommandReader(client, "op1")
        bus.publish(start_duty("late", time.time() - 1))
        client.xadd(stream_name("op1"), {"command": "junk"})
        client.xadd(stream_name("op1"), {"other": "field"})
        bus.publish(RegistryChanged(4))
        assert reader.read(10) == [RegistryChanged(4)]
        assert (reader.counts.late, reader.counts.malformed) == (1, 2)

    def test_a_killed_reader_gets_again_what_it_had_in_hand(self, client):
        bus = CommandBus(client, "op1")
        bus.publish(RegistryChanged(1))
        CommandReader(client, "op1").read(10)
        bus.publish(RegistryChanged(2))
        restarted = CommandReader(client, "op1")
        assert restarted.read(10) == [RegistryChanged(1)]
        assert restarted.read(10) == [RegistryChanged(2)]
        assert restarted.read(10) == []
        assert CommandReader(client, "op1").read(10) == []

    def test_an_answer_lost_on_the_way_is_read_again(self, client):
        bus, reader = CommandBus(client, "op1"), CommandReader(client, "op1")
        assert reader.read(10) == []
        bus.publish(RegistryChanged(1))
        client.xreadgroup("node", "node", {stream_name("op1"): ">"})
        assert reader.read(10) == [RegistryChanged(1)]

    def test_an_emptied_server_is_no_problem(self, client):
        bus, reader = CommandBus(client, "op1"), CommandReader(client, "op1")
        reader.read(10)
        client.flushall()
        bus.publish(RegistryChanged(1))
        assert reader.read(10) == [RegistryChanged(1)]

    def test_a_broker_away_and_back(self, valkey, client):
        pauses = []
        bus, reader = CommandBus(client, "op1"), CommandReader(client, "op1", pause=pauses.append)
        bus.publish(RegistryChanged(1))
        assert reader.read(10) == [RegistryChanged(1)]
        valkey.stop()
        assert [reader.read(10) for _ in range(6)] == [[]] * 6
        assert (reader.connected, pauses) == (False, [0.05, 0.1, 0.2, 0.4, 0.8, 1.0])
        with pytest.raises(redis.ConnectionError):
            bus.publish(RegistryChanged(2))
        valkey.start()
        bus.publish(RegistryChanged(2))
        assert [*reader.read(10), *reader.read(10)] == [RegistryChanged(2)]
        assert reader.connected

    def test_a_blocked_read_wakes_at_once(self, client):
        reader = CommandReader(client, "op1")
        reader.read(10)
        got = []
        thread = threading.Thread(target=lambda: got.append((reader.read(2000), time.monotonic())))
        thread.start()
        until(lambda: client.info("clients")["blocked_clients"] == 1)
        sent = time.monotonic()
        CommandBus(client, "op1").publish(RegistryChanged(1))
        thread.join()
        [(commands, arrived)] = got
        assert commands == [RegistryChanged(1)]
        assert arrived - sent < 0.5

    def test_the_stream_is_bounded(self, client):
        bus = CommandBus(client, "op1")
        for start in range(0, 6000, 1000):
            bus.publish(*(RegistryChanged(n) for n in range(start, start + 1000)))
        assert client.xlen(stream_name("op1")) < 4500


class TestClaims:
    def test_one_of_two_gets_it(self, client):
        one, two = Claims(client, "op1"), Claims(client, "op1")
        claim = one.take("work", 5)
        assert isinstance(claim, Claim)
        assert two.take("work", 5) is ClaimState.HELD
        assert one.take("work", 5) is ClaimState.HELD
        one.finish(claim, 60)
        assert two.take("work", 5) is ClaimState.DONE
        assert two.states(["work", "other"]) == [ClaimState.DONE, ClaimState.FREE]

    def test_operators_do_not_meet(self, client):
        assert isinstance(Claims(client, "op1").take("work", 5), Claim)
        assert isinstance(Claims(client, "op2").take("work", 5), Claim)

    def test_released_work_is_free_at_once(self, client):
        claims = Claims(client, "op1")
        claims.release(claims.take("work", 5))
        assert isinstance(claims.take("work", 5), Claim)

    def test_a_claim_that_ran_out_does_not_release_its_successor(self, client):
        claims = Claims(client, "op1")
        old = claims.take("work", 0.001)
        until(lambda: claims.states(["work"]) == [ClaimState.FREE])
        assert isinstance(claims.take("work", 5), Claim)
        claims.release(old)
        assert claims.states(["work"]) == [ClaimState.HELD]

    def test_a_kept_claim_outlives_its_lease_and_ends_after(self, client):
        claims = Claims(client, "op1")
        claim = claims.take("work", 0.3)
        with claims.kept(claim):
            start = time.monotonic()
            until(lambda: time.monotonic() - start > 0.7)
            assert claims.states(["work"]) == [ClaimState.HELD]
        until(lambda: claims.states(["work"]) == [ClaimState.FREE], 2)


class TestPayloads:
    """Large answers of the beacon node lie beside the stream."""

    BLOCK = bytes(range(256)) * 4096

    @staticmethod
    def answer(key, payload, seconds=9.0):
        return BeaconAnswer(key, bytes(32), b"", key, payload, 6, "", time.time() + seconds)

    def test_a_block_arrives_and_the_stream_stays_small(self, client):
        answers = [self.answer("small", b"x"), self.answer("large", self.BLOCK), self.answer("other", b"y")]
        bus = CommandBus(client, "op")
        bus.publish(*answers)
        assert client.memory_usage(stream_name("op")) < len(self.BLOCK) / 4
        reader = CommandReader(client, "op")
        assert reader.read(10) == answers
        (name,) = client.keys("op:payload:*")
        assert 9000 < client.pttl(name) <= 20_000

    def test_a_reader_that_was_killed_gets_it_again(self, client):
        answer = self.answer("large", self.BLOCK)
        CommandBus(client, "op").publish(answer)
        assert CommandReader(client, "op").read(10) == [answer]
        assert CommandReader(client, "op").read(10) == [answer]

    def test_one_that_has_expired_is_late(self, client):
        CommandBus(client, "op").publish(self.answer("large", self.BLOCK), self.answer("small", b"x"))
        client.delete(*client.keys("op:payload:*"))
        reader = CommandReader(client, "op")
        assert [command.key for command in reader.read(10)] == ["small"]
        assert reader.counts.late == 1

    def test_the_longest_passes_and_a_longer_one_is_refused(self, client):
        longest = self.answer("longest", bytes(MAX_PAYLOAD_BYTES))
        bus = CommandBus(client, "op")
        bus.publish(longest)
        assert CommandReader(client, "op").read(10) == [longest]
        with pytest.raises(CodecError, match="expected at most 16777216"):
            bus.publish(self.answer("more", bytes(MAX_PAYLOAD_BYTES + 1)))

    def test_other_keys_are_not_read(self, client):
        client.set("secret", "value")
        command = COMMANDS.encode(self.answer("forged", b""))
        for name in ("secret", "../secret", b"\xff"):
            client.xadd(stream_name("op"), {"command": command, "payload": name})
        reader = CommandReader(client, "op")
        assert reader.read(10) == []
        assert reader.counts.late == 3

    @staticmethod
    def block(signed_block):
        return BlockSubmission("k", 5, "electra", 6, False, signed_block, time.time() + 9)

    @pytest.mark.parametrize("size", [100, 1 << 20])
    def test_a_signed_block_lies_beside_its_task(self, valkey, client, size):
        sender = TaskSender(BrokerUrl.unix(valkey.socket), "op")
        block = self.block(b"b" * size)
        sender.submit(block)
        (queue,) = [name for name in client.keys("op:*") if client.type(name) == b"list"]
        (task,) = client.lrange(queue, 0, -1)
        assert len(task) < 10_000
        ((payload,), _, _) = json.loads(base64.b64decode(json.loads(task)["body"]))
        payloads = Payloads(client, "op")
        assert read_submission(payload, payloads) == block
        assert len(client.keys("op:payload:*")) == (size > INLINE_BYTES)
        if size > INLINE_BYTES:
            client.delete(*client.keys("op:payload:*"))
            with pytest.raises(CodecError, match="submission k: its block has expired"):
                read_submission(payload, payloads)
        sender.close()


def test_the_node_tells_who_it_is(client):
    assert announced_operator(client, "op1") is None
    announce_operator(client, "op1", b"TFMw")
    assert announced_operator(client, "op1") == b"TFMw"
