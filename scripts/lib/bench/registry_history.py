"""A synthetic registry history as a log file, and a JSON-RPC server process that serves it as an execution node would.

Each line of the file is one block: its header as JSON, a tab, its logs as a JSON list. Headers have their true hashes,
blooms and receipts roots, registrations have true signatures over their owner's nonce, and share public keys are points
of the curve; only the encrypted shares are random bytes.
"""

import json
import random
import sys
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from ssv_pool.crypto import bls
from ssv_pool.crypto.shares_data import registration_root
from ssv_pool.registry import abi, rlp

CHAIN_ID = 31337
CONTRACT = bytes.fromhex("5f" * 20)
FIRST_BLOCK = 100
_FIRST_SECRET = 1_000_003
_FIRST_SHARE_SECRET = 7_000_003
_SIGNED_AT_ONCE = 500
_FORMAT = 1
_EMPTY_ROOT = keccak(rlp.encode(b""))
_CLUSTER = b"".join(word.to_bytes(32, "big") for word in (1, 0, 0, 1, 10**18))
_Content = tuple[tuple[bytes, ...], bytes]


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a history is. The same shape gives the same history."""

    validators: int
    operators: int
    owners: int = 2_000
    per_block: int = 4
    """Registrations in a block that has any; every second block has."""

    @property
    def name(self) -> str:
        """A file name for it."""
        return f"registry-{_FORMAT}-{self.validators}-{self.operators}-{self.owners}-{self.per_block}.log"


def history(shape: Shape, folder: Path) -> Path:
    """The history's log file, made in ``folder`` unless it is there."""
    path = folder / shape.name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("w") as file:
            file.writelines(_lines(shape))
        unfinished.rename(path)
    return path


def _lines(shape: Shape) -> Iterator[str]:
    parent, time = sha256(b"before").digest(), 1_700_000_000
    for number, contents in enumerate(_blocks(shape), FIRST_BLOCK):
        line, parent = _block(number, parent, time + 12 * number, contents)
        yield line


def _blocks(shape: Shape) -> Iterator[list[_Content]]:
    choice = random.Random(1)
    yield [(((sha256(b"some other event").digest()),), b"")]
    for first in range(1, shape.operators + 1, 20):
        yield [_operator(number) for number in range(first, min(first + 20, shape.operators + 1))]
    registrations = _registrations(shape, choice)
    contents: list[_Content] = []
    known: list[tuple[bytes, tuple[int, ...], bytes]] = []
    for owner, ids, key, content in registrations:
        contents.append(content)
        known.append((owner, ids, key))
        # One event in twenty is of another kind.
        if choice.random() < 0.05:
            contents.append(_other(choice, known))
        if len(contents) >= shape.per_block:
            yield contents
            yield []
            contents = []
    yield contents
    # What is younger than the follow distance is not read.
    for _ in range(8):
        yield []


def _registrations(shape: Shape, choice: random.Random) -> Iterator[tuple[bytes, tuple[int, ...], bytes, _Content]]:
    owners = [sha256(b"owner %d" % number).digest()[:20] for number in range(shape.owners)]
    committees = []
    for _ in range(max(1, shape.operators // 2)):
        size = choice.choices((4, 7, 10, 13), (85, 8, 4, 3))[0]
        committees.append(tuple(sorted(choice.sample(range(1, shape.operators + 1), min(size, shape.operators)))))
    nonces = [0] * shape.owners
    plan = []
    for _ in range(shape.validators):
        owner = choice.randrange(shape.owners)
        plan.append((owner, nonces[owner], owner % len(committees)))
        nonces[owner] += 1
    tasks = [
        (start, [(owners[owner], nonce) for owner, nonce, _ in plan[start : start + _SIGNED_AT_ONCE]])
        for start in range(0, len(plan), _SIGNED_AT_ONCE)
    ]
    shares = _points(_FIRST_SHARE_SECRET)
    with get_context("spawn").Pool(2) as pool:
        for (start, _), signed in zip(tasks, pool.imap(_sign, tasks), strict=True):
            entries = zip(plan[start : start + _SIGNED_AT_ONCE], signed, strict=True)
            for (owner, _nonce, committee), (key, signature) in entries:
                ids = committees[committee]
                data = signature + b"".join(next(shares) for _ in ids) + choice.randbytes(256 * len(ids))
                words = _dynamic([_ids(ids), _bytes(key), _bytes(data)], _CLUSTER)
                topics = (abi.VALIDATOR_ADDED.topic, bytes(12) + owners[owner])
                yield owners[owner], ids, key, (topics, words)


def _sign(task: tuple[int, list[tuple[bytes, int]]]) -> list[tuple[bytes, bytes]]:
    start, owners = task
    points = _points(_FIRST_SECRET + start)
    return [
        (next(points), bls.sign(_FIRST_SECRET + start + place, registration_root(owner, nonce)))
        for place, (owner, nonce) in enumerate(owners)
    ]


def _points(secret: int) -> Iterator[bytes]:
    """The public keys of ``secret``, ``secret`` + 1, …: adding a point is far cheaper than multiplying one."""
    generator = bls.public_key_point(bls.secret_to_public(1))
    point = bls.public_key_point(bls.secret_to_public(secret))
    while True:
        yield point.compress()
        point = point + generator


def _operator(number: int) -> _Content:
    key = sha256(b"operator %d" % number).hexdigest() * 9
    topics = (abi.OPERATOR_ADDED.topic, number.to_bytes(32, "big"), bytes(12) + sha256(b"%d" % number).digest()[:20])
    packed = (32).to_bytes(32, "big") + _bytes(key.encode())
    return topics, (64).to_bytes(32, "big") + (10**9).to_bytes(32, "big") + _bytes(packed)


def _other(choice: random.Random, known: list[tuple[bytes, tuple[int, ...], bytes]]) -> _Content:
    owner, ids, key = choice.choice(known)
    topic = bytes(12) + owner
    match choice.randrange(5):
        case 0:
            return (abi.VALIDATOR_REMOVED.topic, topic), _dynamic([_ids(ids), _bytes(key)], _CLUSTER)
        case 1:
            return (abi.CLUSTER_LIQUIDATED.topic, topic), _dynamic([_ids(ids)], _CLUSTER)
        case 2:
            return (abi.CLUSTER_REACTIVATED.topic, topic), _dynamic([_ids(ids)], _CLUSTER)
        case 3:
            recipient = bytes(12) + choice.randbytes(20)
            return (abi.FEE_RECIPIENT_UPDATED.topic, topic), recipient
        case _:
            return (abi.VALIDATOR_EXITED.topic, topic), _dynamic([_ids(ids), _bytes(key)], b"")


def _dynamic(parts: list[bytes], fixed: bytes) -> bytes:
    heads, tails = b"", b""
    for part in parts:
        heads += (32 * len(parts) + len(fixed) + len(tails)).to_bytes(32, "big")
        tails += part
    return heads + fixed + tails


def _bytes(content: bytes) -> bytes:
    return len(content).to_bytes(32, "big") + content + bytes(-len(content) % 32)


def _ids(ids: Sequence[int]) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in (len(ids), *ids))


_bits_of: dict[bytes, int] = {}


def _bloom(items: Sequence[bytes]) -> int:
    bloom = 0
    for item in items:
        if item not in _bits_of:
            digest = keccak(item)
            _bits_of[item] = sum(
                {1 << (int.from_bytes(digest[start : start + 2], "big") & 0x7FF) for start in (0, 2, 4)}
            )
        bloom |= _bits_of[item]
    return bloom


def _block(number: int, parent: bytes, time: int, contents: list[_Content]) -> tuple[str, bytes]:
    """A block's line and its hash: each log is one transaction's."""
    receipts, bloom = [], 0
    for place, (topics, data) in enumerate(contents):
        its_bloom = _bloom([CONTRACT, *topics])
        bloom |= its_bloom
        body = [1, 21_000 * (place + 1), its_bloom.to_bytes(256, "big"), [[CONTRACT, list(topics), data]]]
        receipts.append(b"\x02" + rlp.encode(body))
    zero, root = bytes(32), rlp.ordered_root(receipts)
    fields: list[tuple[str, Any]] = [
        ("parentHash", parent),
        ("sha3Uncles", keccak(rlp.encode([]))),
        ("miner", bytes(20)),
        ("stateRoot", zero),
        ("transactionsRoot", zero),
        ("receiptsRoot", root),
        ("logsBloom", bloom.to_bytes(256, "big")),
        ("difficulty", 0),
        ("number", number),
        ("gasLimit", 60_000_000),
        ("gasUsed", 21_000 * len(contents)),
        ("timestamp", time),
        ("extraData", b""),
        ("mixHash", zero),
        ("nonce", bytes(8)),
        ("baseFeePerGas", 7),
        ("withdrawalsRoot", _EMPTY_ROOT),
        ("blobGasUsed", 0),
        ("excessBlobGas", 0),
        ("parentBeaconBlockRoot", zero),
        ("requestsHash", zero),
    ]
    block_hash = keccak(rlp.encode([value for _, value in fields]))
    transactions = [f"0x{sha256(b'%d %d' % (number, place)).hexdigest()}" for place in range(len(contents))]
    header = {name: hex(value) if isinstance(value, int) else f"0x{value.hex()}" for name, value in fields}
    header |= {"hash": f"0x{block_hash.hex()}", "transactions": transactions}  # type: ignore[dict-item]
    logs = [
        {
            "address": f"0x{CONTRACT.hex()}",
            "topics": [f"0x{topic.hex()}" for topic in topics],
            "data": f"0x{data.hex()}",
            "blockNumber": hex(number),
            "blockHash": f"0x{block_hash.hex()}",
            "transactionHash": transactions[place],
            "transactionIndex": hex(place),
            "logIndex": hex(place),
            "removed": False,
        }
        for place, (topics, data) in enumerate(contents)
    ]
    return f"{json.dumps(header)}\t{json.dumps(logs)}\n", block_hash


class Server:
    """Answers JSON-RPC from a log file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = array("q", [0])
        with path.open("rb") as file:
            for line in file:
                self._offsets.append(self._offsets[-1] + len(line))
        self.last = FIRST_BLOCK + len(self._offsets) - 2

    def answer(self, request: Any) -> str:
        """The answer to a request or a batch, as JSON."""
        if isinstance(request, list):
            return "[" + ",".join(map(self.answer, request)) + "]"
        return f'{{"jsonrpc":"2.0","id":{json.dumps(request["id"])},"result":{self._result(**request)}}}'

    def _result(self, method: str, params: list[Any], **_: Any) -> str:
        match method:
            case "eth_chainId":
                return json.dumps(hex(CHAIN_ID))
            case "eth_syncing":
                return "false"
            case "eth_getCode":
                return '"0xfe"'
            case "eth_getBlockByNumber":
                number = self.last if params[0] == "latest" else int(params[0], 16)
                return self._line(number)[0] if FIRST_BLOCK <= number <= self.last else "null"
            case "eth_getLogs":
                first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
                parts = (self._line(number)[1][1:-1] for number in range(max(first, FIRST_BLOCK), last + 1))
                return "[" + ",".join(part for part in parts if part) + "]"
            case "eth_getBlockReceipts":
                return self._receipts(int(params[0], 16))
            case _:
                return "null"

    def _receipts(self, number: int) -> str:
        receipts = []
        for place, log in enumerate(json.loads(self._line(number)[1])):
            bloom = _bloom([bytes.fromhex(item[2:]) for item in (log["address"], *log["topics"])])
            receipts.append(
                {
                    "type": "0x2",
                    "status": "0x1",
                    "cumulativeGasUsed": hex(21_000 * (place + 1)),
                    "logsBloom": f"0x{bloom:0512x}",
                    "logs": [log],
                }
            )
        return json.dumps(receipts)

    def _line(self, number: int) -> tuple[str, str]:
        place = number - FIRST_BLOCK
        with self._path.open("rb") as file:
            file.seek(self._offsets[place])
            line = file.read(self._offsets[place + 1] - self._offsets[place])
        header, _, logs = line.decode().rstrip("\n").partition("\t")
        return header, logs


def serve(path: Path) -> None:
    """Serve a log file on a port of its own, which is printed, until standard input ends: with whoever started it."""
    server = Server(path)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = server.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    print(http.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
