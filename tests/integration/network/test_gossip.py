"""Messages between hosts that keep to the rules."""

import pytest
import trio
from hosts import TOPIC, committee, in_trio, network, running, until

from ssv_pool.network import Judgement, NetworkError, Verdict, alan_topic


async def take(net, count: int) -> list:
    with trio.fail_after(20):
        return [await net.messages.receive() for _ in range(count)]


@in_trio
async def test_a_message_reaches_everybody_once_and_not_its_author() -> None:
    async with committee(4) as nets:
        assert await nets[0].publish(TOPIC, b"hello") == 3

        for net in nets[1:]:
            (message,) = await take(net, 1)
            assert (message.topic, message.data, message.decoded) == (TOPIC, b"hello", None)
        await until(lambda: sum(net.counters.duplicates for net in nets) >= 1)
        assert [net.counters.delivered for net in nets] == [0, 1, 1, 1]
        assert await nets[0].publish(TOPIC, b"hello") == 0, "the network took it already"


@in_trio
async def test_a_burst_loses_nothing() -> None:
    """The library's queues of 32 lose messages here."""
    async with committee(3) as nets:
        for number in range(300):
            for index, net in enumerate(nets):
                await net.publish(TOPIC, b"%d from %d" % (number, index) + bytes(500))

        for index, net in enumerate(nets):
            got = await take(net, 600)
            expected = {b"%d from %d" % (n, i) + bytes(500) for n in range(300) for i in range(3) if i != index}
            assert {message.data for message in got} == expected
        assert sum(net.counters.dropped_outbound + net.counters.dropped_delivery for net in nets) == 0


@in_trio
async def test_the_largest_message_passes_and_a_larger_one_is_refused() -> None:
    async with committee(2) as (one, two):
        data = bytes(9_589_483)
        await one.publish(TOPIC, data)

        (message,) = await take(two, 1)
        assert message.data == data
        with pytest.raises(NetworkError, match="message: 9589484 bytes, expected 1 to 9589483"):
            await one.publish(TOPIC, data + b"x")


@in_trio
async def test_what_is_not_accepted_is_neither_delivered_nor_passed_on() -> None:
    verdicts = {b"good": Verdict.ACCEPT, b"odd": Verdict.IGNORE, b"bad": Verdict.REJECT}

    def judge(_sender: bytes, _topic: str, data: bytes) -> Judgement:
        if data == b"fault":
            raise RuntimeError("a fault in validation")
        return Judgement(verdicts[data], decoded=data.upper())

    judging = network(validate=judge)
    await judging.subscribe(TOPIC)
    async with running(judging) as address:
        left, right = network(address), network(address)
        for net in (left, right):
            await net.subscribe(TOPIC)
        async with running(left), running(right):
            await until(lambda: len(judging._session.router.mesh[TOPIC]) == 2)
            for data in (b"bad", b"odd", b"fault", b"good"):
                await left.publish(TOPIC, data)

            (message,) = await take(judging, 1)
            assert (message.data, message.decoded) == (b"good", b"GOOD")
            assert [m.data for m in await take(right, 1)] == [b"good"]
            counters = judging.counters
            assert (counters.rejected, counters.ignored, counters.validator_errors) == (1, 2, 1)


@in_trio
async def test_a_slow_validation_sees_each_message_once() -> None:
    """The library remembers a message after judging it, so copies that come meanwhile are judged and delivered too."""
    calls: list[bytes] = []
    go = trio.Event()

    async def slow(_sender: bytes, _topic: str, data: bytes) -> Verdict:
        calls.append(data)
        await go.wait()
        return Verdict.ACCEPT

    slow_one = network(validate=slow)
    await slow_one.subscribe(TOPIC)
    async with running(slow_one) as address:
        left = network(address)
        await left.subscribe(TOPIC)
        async with running(left) as other:
            right = network(address, other)
            await right.subscribe(TOPIC)
            async with running(right):
                await until(lambda: all(len(n._session.router.mesh[TOPIC]) == 2 for n in (slow_one, left, right)))
                await left.publish(TOPIC, b"once")
                await until(lambda: slow_one.counters.duplicates == 1)
                go.set()
                assert [m.data for m in await take(slow_one, 1)] == [b"once"]
                assert calls == [b"once"]
                assert slow_one.counters.delivered == 1


@in_trio
async def test_a_node_that_does_not_keep_up_loses_messages_by_count() -> None:
    async with committee(2, delivery_queue=5) as (one, two):
        for number in range(12):
            await one.publish(TOPIC, b"%d" % number)

        await until(lambda: two.counters.delivered + two.counters.dropped_delivery == 12)
        assert two.counters.dropped_delivery == 7


@in_trio
async def test_topics_end_and_begin() -> None:
    async with committee(2) as (one, two):
        await two.unsubscribe(TOPIC)
        await until(lambda: not one._session.pubsub.peer_topics.get(TOPIC))
        assert await one.publish(TOPIC, b"to nobody") == 0
        assert one.counters.published_to_nobody == 1

        await two.subscribe(TOPIC)
        await until(lambda: one._session.pubsub.peer_topics.get(TOPIC))
        assert await one.publish(TOPIC, b"to somebody") == 1
        assert {m.data for m in await take(two, 2)} == {b"to nobody", b"to somebody"}, "the last seconds' messages too"


@in_trio
async def test_every_subnet_at_once() -> None:
    """The library cuts a peer off at 100 topics."""
    one = network()
    for subnet in range(128):
        await one.subscribe(alan_topic(subnet))
    async with running(one) as address:
        two = network(address)
        await two.subscribe(TOPIC)
        async with running(two):
            await until(lambda: two.peers()[0].topics == tuple(sorted(alan_topic(subnet) for subnet in range(128))))
    with pytest.raises(NetworkError, match=r"topic: 'ssv\.v2\.128' is not one of the network's topics"):
        await one.subscribe("ssv.v2.128")
