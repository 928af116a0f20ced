"""Measure gossip between hosts in processes of their own: latency of bursts and CPU time for each message.

    scripts/bench gossip --hosts 4 --messages 20 --size 600 --rounds 10

All hosts publish their messages at the same instant; a message's latency runs from its publication to its delivery in
each other process (one machine, one clock).
"""

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import time
from typing import Any

import trio

HEADER = struct.Struct(">QHI")
"""Publication time (ns), host, number."""


def main() -> None:
    """Run the measurement, or one host of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--messages", type=int, default=20, help="messages of each host in a burst")
    parser.add_argument("--rounds", type=int, default=10, help="bursts")
    parser.add_argument("--size", type=int, default=600, help="bytes of a message")
    parser.add_argument("--pause", type=float, default=1.5, help="seconds between bursts")
    parser.add_argument("--degree", type=int, default=8, help="mesh degree")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--host", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.host is None:
        measure(options)
    else:
        trio.run(serve, options)


def measure(options: argparse.Namespace) -> None:
    """Start the hosts, let them run the bursts, print what they saw."""
    command = [sys.executable, __file__, *sys.argv[1:]]
    hosts = [
        subprocess.Popen([*command, "--host", str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for i in range(options.hosts)
    ]
    try:
        addresses: list[str] = []
        for host in hosts:
            addresses.append(ask(host, {"peers": addresses})["address"])
        for host in hosts:
            answer(host)
        start = time.time() + 1
        for host in hosts:
            tell(host, {"start": start})
        results = [answer(host) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
            host.wait()
    report(options, results)


def report(options: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    """Print the SUMMARY block, or the same as JSON."""
    latencies = sorted(value for result in results for value in result["latencies"])
    expected = options.hosts * (options.hosts - 1) * options.messages * options.rounds
    cpu = sum(result["cpu"] for result in results)
    summary = {
        "hosts": options.hosts,
        "messages_per_burst": options.messages,
        "rounds": options.rounds,
        "size_bytes": options.size,
        "expected": expected,
        "delivered": len(latencies),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 2),
        "max_ms": round(latencies[-1] * 1000, 2),
        "cpu_ms_per_published": round(cpu / (options.hosts * options.messages * options.rounds) * 1000, 3),
        "cpu_ms_per_delivered": round(cpu / len(latencies) * 1000, 3),
        "duplicates_per_delivered": round(sum(r["duplicates"] for r in results) / len(latencies), 2),
        "suppressed": sum(r["suppressed"] for r in results),
        "rss_mb": max(r["rss_mb"] for r in results),
    }
    if options.json:
        print(json.dumps(summary))
        return
    print("SUMMARY")
    for name, value in summary.items():
        print(f"  {name:26} {value}")


async def serve(options: argparse.Namespace) -> None:
    """Be one host: connect, wait for everybody, publish in bursts, report."""
    from ssv_pool.network import GossipParams, Network, NetworkSettings, PeerAddress, Verdict, alan_topic
    from ssv_pool.network.identity import new_identity

    peers = tuple(PeerAddress.parse(text) for text in (await line())["peers"])
    params = GossipParams(degree=options.degree, degree_low=min(6, options.degree))
    settings = NetworkSettings(new_identity(), host="127.0.0.1", port=0, peers=peers, gossip=params)
    network = Network(settings, lambda _sender, _topic, _data: Verdict.ACCEPT)
    topic = alan_topic(1)
    await network.subscribe(topic)
    latencies: list[float] = []
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(network.run)
        say({"address": address})
        with trio.fail_after(60):
            while sum(1 for peer in network.peers() if topic in peer.topics) < options.hosts - 1:  # noqa: ASYNC110
                await trio.sleep(0.05)
        await trio.sleep(2)  # two heartbeats and more: the meshes have formed
        say({"connected": True})
        nursery.start_soon(collect, network, latencies)
        start = (await line())["start"]
        before = network.counters.duplicates
        usage = resource.getrusage(resource.RUSAGE_SELF)
        for number in range(options.rounds):
            await trio.sleep(max(0.0, start + number * options.pause - time.time()))
            for k in range(options.messages):
                head = HEADER.pack(time.time_ns(), options.host, k)
                await network.publish(topic, head + os.urandom(options.size - HEADER.size))
        await trio.sleep(options.pause + 1)
        after = resource.getrusage(resource.RUSAGE_SELF)
        say(
            {
                "latencies": latencies,
                "cpu": after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime,
                "duplicates": network.counters.duplicates - before,
                "suppressed": network.counters.suppressed,
                "rss_mb": after.ru_maxrss // 1024,
            }
        )
        await trio.sleep_forever()


async def collect(network: Any, latencies: list[float]) -> None:
    """Note each message's age at delivery."""
    async for message in network.messages:
        # One by one: the time of each delivery counts.
        latencies.append((time.time_ns() - HEADER.unpack_from(message.data)[0]) / 1e9)  # noqa: PERF401


async def line() -> dict[str, Any]:
    """Read a JSON line from the measuring process."""
    text = await trio.to_thread.run_sync(sys.stdin.readline)
    return dict(json.loads(text))


def say(value: dict[str, Any]) -> None:
    """Write a JSON line to the measuring process."""
    print(json.dumps(value), flush=True)


def tell(host: "subprocess.Popen[str]", value: dict[str, Any]) -> None:
    """Send a host a JSON line."""
    if host.stdin is None:
        raise RuntimeError("host without a pipe")
    host.stdin.write(json.dumps(value) + "\n")
    host.stdin.flush()


def answer(host: "subprocess.Popen[str]") -> dict[str, Any]:
    """Read a JSON line of a host."""
    if host.stdout is None:
        raise RuntimeError("host without a pipe")
    return dict(json.loads(host.stdout.readline()))


def ask(host: "subprocess.Popen[str]", value: dict[str, Any]) -> dict[str, Any]:
    """Send a host a JSON line and read its answer."""
    tell(host, value)
    return answer(host)


if __name__ == "__main__":
    main()
