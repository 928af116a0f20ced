"""Makes a cluster of operators from nothing: keys, key files, configurations, registrations on the chain."""

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.key_file import write_key_file
from ssv_pool.devnet.anvil import account_key
from ssv_pool.devnet.config import DevnetConfig
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.network.identity import load_or_create
from ssv_pool.pool.keyshares import KeyShares, ShareOperator, split_key
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry.contract import Registration, RegistryContract

KEY_FILE_COST = 10_000
"""PBKDF2 rounds of the devnet's key files: its keys live for minutes, and two cores encrypt thirteen of them."""


@dataclass(frozen=True, slots=True)
class OperatorFiles:
    """One operator's folder and addresses."""

    operator_id: OperatorId
    folder: Path
    public_key: str
    """Base64 text of the RSA key's PEM, as registered."""
    p2p_port: int
    api_port: int
    metrics_port: int
    peer_address: str
    """Multiaddress with the peer id."""

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.folder / "operator.yaml"

    @property
    def log(self) -> Path:
        """Where its processes write."""
        return self.folder / "operator.log"

    @property
    def health_url(self) -> str:
        """The node API's health page."""
        return f"http://127.0.0.1:{self.api_port}/v1/node/health"

    @property
    def status_url(self) -> str:
        """The node API's status page."""
        return f"http://127.0.0.1:{self.api_port}/v1/node/status"


@dataclass(frozen=True, slots=True)
class Registry:
    """The deployed contract and who pays for the devnet's transactions."""

    contract: RegistryContract
    owner: LocalAccount


def deploy_registry(chain_url: str) -> Registry:
    """Compile and deploy the registry contract."""
    w3 = Web3(HTTPProvider(chain_url))
    owner: LocalAccount = Account.from_key(account_key(0))
    return Registry(RegistryContract.deploy(w3, owner), owner)


def make_operators(
    config: DevnetConfig,
    folder: Path,
    registry: Registry,
    progress: Callable[[str], None],
    owners: Sequence[LocalAccount] = (),
    fee: int = 0,
) -> list[OperatorFiles]:
    """Make every operator's key files and register its public key on the chain by a transaction.

    Args:
        config: the run's options.
        folder: where the operators' folders are made.
        registry: the contract.
        progress: told what is done.
        owners: who owns each operator; the registry's owner owns all by default.
        fee: what each asks, wei per block and validator.
    """
    progress("operators: making keys")
    with free_ports(3 * config.operators) as ports:
        drafts = [_make_operator(folder / f"operator-{number + 1}", ports) for number in range(config.operators)]
    progress("operators: registering on the chain")
    public_keys = [public_key for _, public_key, *_ in drafts]
    if owners:
        owned = zip(owners, public_keys, strict=True)
        ids = tuple(registry.contract.register_operator(owner, key, fee=fee) for owner, key in owned)
    else:
        ids = registry.contract.register_operators(registry.owner, public_keys, fee=fee)
    return [OperatorFiles(operator_id, *draft) for operator_id, draft in zip(ids, drafts, strict=True)]


def register_validators(
    config: DevnetConfig,
    registry: Registry,
    operators: Sequence[OperatorFiles],
    progress: Callable[[str], None],
    value: int = 0,
) -> list[PublicKey]:
    """Split the validators' keys among their committees and register them on the chain by transactions.

    Each cluster gets ``value`` wei for its operators' service.

    Returns:
        Their public keys, by validator index.
    """
    by_id = {
        files.operator_id: ShareOperator(files.operator_id, operator_keys.public_key_from_base64(files.public_key))
        for files in operators
    }
    owner = str(registry.owner.address)
    keys: dict[int, PublicKey] = {}
    for place, committee in enumerate(config.committees):
        indices = range(place, config.validators, len(config.committees))
        progress(f"validators: splitting {len(keys) + len(indices)} of {config.validators} keys")
        nonce = registry.contract.owner_nonce(owner)
        members = [by_id[OperatorId(number)] for number in committee]
        shares: list[KeyShares] = [
            split_key(interop_secret_key(index), members, owner, nonce + used) for used, index in enumerate(indices)
        ]
        progress("validators: registering on the chain")
        registrations = [Registration(item.public_key, item.shares_data) for item in shares]
        registry.contract.register_validators(registry.owner, registrations, shares[0].operator_ids, value=value)
        keys |= {index: item.public_key for index, item in zip(indices, shares, strict=True)}
    return [keys[index] for index in range(config.validators)]


def exit_validator(config: DevnetConfig, registry: Registry, index: int, public_key: PublicKey) -> None:
    """Ask a validator's committee, by a transaction, to sign its voluntary exit."""
    committee = [OperatorId(number) for number in config.committee_of(index)]
    registry.contract.exit_validators(registry.owner, [public_key], committee)


def write_configurations(
    config: DevnetConfig,
    operators: Sequence[OperatorFiles],
    registry: Registry,
    chain_url: str,
    beacon_urls: Mapping[int, Sequence[str]],
    sections: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Write every operator's configuration file, as an operator would by hand.

    Args:
        config: the run's options.
        operators: whose files.
        registry: the deployed contract.
        chain_url: the execution node.
        beacon_urls: operator → its beacon nodes, best first.
        sections: operator → further sections of its file.
    """
    for files in operators:
        content = {
            "network": "devnet",
            "data_dir": "data",
            **({} if config.boole_epoch is None else {"boole_epoch": config.boole_epoch}),
            "operator": {"private_key_file": "encrypted_private_key.json", "password_file": "password.txt"},
            "beacon": {"nodes": list(beacon_urls[files.operator_id])},
            "execution": {"nodes": [chain_url]},
            "registry": {
                "contract": registry.contract.address,
                "first_block": registry.contract.first_block,
                "poll_seconds": float(config.slot_seconds),
            },
            "p2p": {
                "host": "127.0.0.1",
                "tcp_port": files.p2p_port,
                "peers": [other.peer_address for other in operators if other is not files],
            },
            "metrics_port": files.metrics_port,
            "api_port": files.api_port,
            "log": {"level": "INFO", "format": "console"},
            **(sections or {}).get(files.operator_id, {}),
        }
        files.config.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _make_operator(folder: Path, ports: Iterator[int]) -> tuple[Path, str, int, int, int, str]:
    (folder / "data").mkdir(mode=0o700, parents=True)
    password = secrets.token_urlsafe(24)
    write_private(folder / "password.txt", password.encode() + b"\n")
    key = operator_keys.generate()
    public_key = write_key_file(folder / "encrypted_private_key.json", key, password, cost=KEY_FILE_COST)
    identity = load_or_create(folder / "data" / "p2p.key")
    p2p_port, api_port, metrics_port = next(ports), next(ports), next(ports)
    address = f"/ip4/127.0.0.1/tcp/{p2p_port}/p2p/{identity.peer_id}"
    return folder, public_key, p2p_port, api_port, metrics_port, address


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[Iterator[int]]:
    """``count`` different free ports, held until all are taken so that none is given out twice."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            held.append(listener.getsockname()[1])
        yield iter(held)
