"""A staking pool on a real chain (anvil), its members' keepers, and a beacon node that says what a test wants."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.crypto import operator_keys
from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.observability.http import StatusServer
from ssv_pool.pool.calls import PoolParameters, deposit_contract_deployment
from ssv_pool.pool.contract import PoolContract
from ssv_pool.pool.deposit_data import DepositNetwork
from ssv_pool.pool.inventory import InventoryKey, make_key
from ssv_pool.pool.keeper import Done, Keeper, open_account
from ssv_pool.pool.keyshares import ShareOperator
from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.registry.contract import RegistryContract
from ssv_pool.registry.sync import RegistrySync
from ssv_pool.registry.transactions import TransactionSender
from ssv_pool.settings import Settings, load_settings
from ssv_pool.store.database import Database
from ssv_pool.store.pool import MESSAGES_PATH, AuditLine, audit_lines, messages_page

FORK_VERSION = bytes.fromhex("10000038")
SLOTS_PER_EPOCH = 8
FAR_FUTURE = 2**64 - 1
ETH = 10**18


def until(condition: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
    return found


class FakeBeacon:
    """Answers what a keeper asks of a beacon node. Its state is the same in every slot."""

    def __init__(self) -> None:
        self.finalized_epoch = 0
        self.blocks: dict[int, int] = {}
        """Slot → number of the execution block in its block."""
        self.validators: dict[str, dict[str, Any]] = {}
        """Public key → entry of the Beacon API."""
        self.pending: list[str] = []
        beacon = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(beacon.answer(self.path, None))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(beacon.answer(self.path, json.loads(body)))

            def _answer(self, data: Any) -> None:
                raw = json.dumps({"message": "none"} if data is None else {"data": data}).encode()
                self.send_response(404 if data is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.genesis = int(time.time()) - 100_000
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, key: bytes, status: str, gwei: int, activation_epoch: int = 0) -> None:
        """Have a validator in the state."""
        self.validators[f"0x{key.hex()}"] = {
            "index": str(len(self.validators)),
            "balance": str(gwei),
            "status": status,
            "validator": {
                "pubkey": f"0x{key.hex()}",
                "activation_epoch": str(activation_epoch),
                "exit_epoch": str(FAR_FUTURE),
            },
        }

    def answer(self, path: str, body: Any) -> Any:
        match path.split("?", maxsplit=1)[0].split("/")[1:]:
            case ["eth", "v1", "beacon", "genesis"]:
                return {"genesis_time": str(self.genesis), "genesis_validators_root": "0x" + "07" * 32}
            case ["eth", "v1", "config", "spec"]:
                return {"SLOT_DURATION_MS": "1000", "SLOTS_PER_EPOCH": "8", "SHARD_COMMITTEE_PERIOD": "1"}
            case ["eth", "v1", "config", "fork_schedule"]:
                return [{"epoch": "0", "current_version": f"0x{FORK_VERSION.hex()}"}]
            case ["eth", "v1", "node", "syncing"]:
                return {"head_slot": "1", "sync_distance": "0", "is_syncing": False}
            case ["eth", "v1", "beacon", "states", _, "finality_checkpoints"]:
                return {"finalized": {"epoch": str(self.finalized_epoch), "root": "0x" + "00" * 32}}
            case ["eth", "v1", "beacon", "states", _, "validators"]:
                wanted = body["ids"]
                return [entry for key, entry in self.validators.items() if key in wanted]
            case ["eth", "v1", "beacon", "states", _, "pending_deposits"]:
                return [{"pubkey": key} for key in self.pending]
            case ["eth", "v2", "beacon", "blocks", slot]:
                block = self.blocks.get(int(slot))
                payload = {"execution_payload": {"block_number": str(block)}}
                return None if block is None else {"message": {"body": payload}}
        return None


class Member:
    """One member: its store, the node API that others ask, its settings."""

    def __init__(self, world: "PoolWorld", folder: Path, account: LocalAccount) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.account = account
        self.world = world
        self.bad_shares: dict[str, str] = {}
        self.database = Database(f"sqlite:///{folder / 'store.sqlite'}")
        self.database.create_schema()
        self.api = StatusServer(
            "127.0.0.1",
            0,
            {
                "/v1/node/status": lambda: self._json(
                    {"bad_shares": self.bad_shares, "registry": {"block": self.block}}
                ),
                MESSAGES_PATH: lambda: self._json(messages_page(self.database, time.time())),
            },
        )
        self.block = -1
        self._sync = RegistrySync(
            [world.chain.url], self.database, world.registry.address, world.first_block, follow_distance=0
        )

    def configure(self, **pool: Any) -> Settings:
        """Write the configuration; the node API's ports of the other members are known now."""
        key_file = self.folder / "account.key"
        if not key_file.exists():
            key_file.touch(mode=0o600)
            key_file.write_text(bytes(self.account.key).hex())
        peers = [f"http://127.0.0.1:{member.api.port}" for member in self.world.members if member is not self]
        config = {
            "network": "devnet",
            "data_dir": str(self.folder),
            "operator": {"private_key_file": "absent.json", "password_file": "absent.txt"},
            "beacon": {"nodes": [self.world.beacon.url]},
            "execution": {"nodes": [self.world.chain.url]},
            "registry": {"contract": self.world.registry.address, "first_block": self.world.first_block},
            "api_port": self.api.port,
            "log": {"format": "json"},
            "pool": {
                "contract": self.world.pool.address,
                "key_file": "account.key",
                "inventory": str(self.world.inventory),
                "committees": ["1,2,3,4"],
                "peers": peers,
                "report_epochs": 1,
                "poll_seconds": 1,
                **pool,
            },
        }
        path = self.folder / "config.yaml"
        path.write_text(json.dumps(config))
        return load_settings(path, environment={})

    def sync(self) -> None:
        """Bring the store to the chain's head, as the workers do, and have the node take it over."""
        while not (result := self._sync.step()).caught_up:
            pass
        self.block = result.to_block

    def keeper(self, **pool: Any) -> Keeper:
        """A keeper in this process."""
        settings = self.configure(**pool)
        return Keeper(settings, open_account(settings), self.database, BeaconClient(settings.beacon.nodes))

    def audit(self) -> list[AuditLine]:
        with self.database.read() as session:
            return audit_lines(session, limit=1000)

    def close(self) -> None:
        self.api.close()
        self._sync.close()
        self.database.close()

    @staticmethod
    def _json(value: object) -> tuple[int, str, bytes]:
        return 200, "application/json", json.dumps(value).encode()


class PoolWorld:
    """A chain with registry, deposit contract and pool, four operators and four members."""

    def __init__(self, folder: Path) -> None:
        self.chain = Anvil()
        self.chain.start()
        self.w3 = Web3(HTTPProvider(self.chain.url))
        self.beacon = FakeBeacon()
        self.inventory = folder / "inventory"
        owner = Account.from_key(account_key(0))
        self.registry = RegistryContract.deploy(self.w3, owner)
        self.first_block = self.registry.first_block
        keys = [operator_keys.generate().public_key() for _ in range(4)]
        pems = [operator_keys.public_key_to_pem(key) for key in keys]
        fee = 1_000_000_000
        self.registry.register_operators(owner, [operator_keys.public_key_to_base64(pem) for pem in pems], fee=fee)
        self.operators = [ShareOperator(OperatorId(number), pem) for number, pem in enumerate(pems, 1)]
        sender = TransactionSender(self.w3, owner)
        call = deposit_contract_deployment(self.w3)
        deposit_contract = sender.send(call.action, call.function).receipt["contractAddress"]
        assert deposit_contract is not None
        accounts = [Account.from_key(account_key(number)) for number in (1, 2, 3, 4)]
        self.pool = PoolContract.deploy(
            self.w3,
            owner,
            self.registry.address,
            deposit_contract,
            [account.address for account in accounts],
            3,
            PoolParameters(owner.address, cluster_budget=1000),
        )
        self.staker = Account.from_key(account_key(5))
        self.members: list[Member] = []
        for number, account in enumerate(accounts, 1):
            self.members.append(Member(self, folder / f"member-{number}", account))

    def make_key(self, nonce: int) -> InventoryKey:
        """Put a validator into the inventory that all members share."""
        network = DepositNetwork("devnet", FORK_VERSION)
        return make_key(self.inventory, self.pool.address, nonce, self.operators, network, datetime.now(UTC))

    def sync(self) -> None:
        for member in self.members:
            member.sync()

    def did(self, keepers: list[Keeper], *tasks: str) -> bool:
        """One round of each keeper; for conditions to wait on."""
        self.rounds(keepers, tasks)
        return True

    def rounds(self, keepers: list[Keeper], tasks: tuple[str, ...] = ()) -> list[Done]:
        """One round of each keeper, before each the stores follow the chain."""
        found = []
        for keeper in keepers:
            self.sync()
            chain = BeaconClient([self.beacon.url]).chain()
            found += keeper.round(chain, tasks) if tasks else keeper.round(chain)
        return found

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.beacon.close()
        self.chain.stop()
