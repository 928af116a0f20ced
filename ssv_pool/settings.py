"""The one configuration object: a YAML file, every key with an environment twin.

The command line wins over the environment, the environment over the file. An unknown key or a bad value is a
ConfigError that names key, value and what was expected.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ssv_pool.errors import ConfigError
from ssv_pool.networks import SsvNetwork, network_named
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH, Epoch

GRAFFITI_BYTES = 32
"""Length of a block's graffiti."""

Port = Annotated[int, Field(ge=0, le=65535)]


def _split(value: object) -> object:
    """Lists may be written as one text with ``;`` between the entries, as the field's configurations do."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    return value


Urls = Annotated[tuple[str, ...], BeforeValidator(_split)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatorSettings(_Section):
    """The operator's RSA key."""

    private_key_file: Path
    """Encrypted key file (Ethereum v4 keystore around the RSA key)."""
    password_file: Path
    """File whose first line is the key file's password."""


class BeaconSettings(_Section):
    """The own beacon nodes."""

    nodes: Urls = ("http://127.0.0.1:5052",)
    """Base URLs, best first."""
    timeout_seconds: float = Field(default=4.0, gt=0)
    """Time limit of one request, all nodes together."""
    hedge_seconds: float = Field(default=0.5, gt=0)
    """So long one node's answer is waited for before the next node is asked too; four times as long for a block."""

    @field_validator("nodes")
    @classmethod
    def _http(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _http_urls(value)


class ExecutionSettings(_Section):
    """The own execution nodes."""

    nodes: Urls = ("http://127.0.0.1:8545",)
    """JSON-RPC URLs over HTTP, best first."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Time limit of one request."""

    @field_validator("nodes")
    @classmethod
    def _http(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _http_urls(value)


class RegistrySettings(_Section):
    """Where the registry contract is and how its events are followed."""

    contract: str | None = Field(default=None, pattern="^0x[0-9a-fA-F]{40}$")
    """Contract address; the network's own when left out."""
    first_block: int | None = Field(default=None, ge=0)
    """Block of the contract's deployment; the network's own when left out."""
    follow_distance: int = Field(default=8, ge=0)
    """Blocks behind the head that are taken as settled."""
    batch_blocks: int = Field(default=200, ge=1)
    """Blocks asked for in one log query; halved when the provider refuses."""
    poll_seconds: float = Field(default=12.0, gt=0)
    """Pause between two looks at the chain."""
    full_check_blocks: int = Field(default=7_200, ge=0)
    """So many blocks up to the head have their logs compared with their headers and receipts."""
    check_one_in: int = Field(default=64, ge=0)
    """Of older blocks one in so many is compared: 1 compares all, 0 none."""
    second_node: bool = True
    """Whether the logs of older blocks are compared with those of a second execution node, where there is one."""


class P2PSettings(_Section):
    """The peer-to-peer side."""

    host: str = "0.0.0.0"  # noqa: S104 - other operators must reach this port
    """Address to listen on."""
    tcp_port: Port = 13001
    """TCP port to listen on."""
    peers: Urls = ()
    """Multiaddresses of other operators, ending in ``/p2p/<peer id>``; they are kept connected."""
    identity_file: Path | None = None
    """secp256k1 network key; ``<data_dir>/p2p.key`` when left out, made at first use."""


class ValidatorSettings(_Section):
    """What the own validators' blocks and registrations say."""

    graffiti: str = "ssv-pool"
    """Text in the blocks that this operator's beacon node makes, at most 32 bytes in UTF-8."""
    gas_limit: int = Field(default=36_000_000, ge=1, lt=2**64)
    """Gas limit in validator registrations. All operators of a committee must have the same, or no quorum signs one."""
    builder_boost: int | None = Field(default=None, ge=0, lt=2**64)
    """Weight of a builder's bid in percent of the local payload's value: 0 never takes a builder's block, 100 compares
    them as they are. The beacon node's own rule when left out."""

    @field_validator("graffiti")
    @classmethod
    def _fits(cls, value: str) -> str:
        if len(value.encode()) > GRAFFITI_BYTES:
            raise ValueError(f"{len(value.encode())} bytes, expected at most {GRAFFITI_BYTES}")
        return value

    @property
    def graffiti_bytes(self) -> bytes:
        """The graffiti as a block has it, 32 bytes."""
        return self.graffiti.encode().ljust(GRAFFITI_BYTES, b"\0")


class PoolSettings(_Section):
    """The staking pool that this operator is a member of; its keeper runs where a contract is named."""

    contract: str | None = Field(default=None, pattern="^0x[0-9a-fA-F]{40}$")
    """Address of the pool's contract. Without it there is no keeper."""
    first_block: int | None = Field(default=None, ge=0)
    """Block of that contract's deployment; the registry's first block when left out."""
    key_file: Path | None = None
    """The member's Ethereum key, which the keeper alone reads: a version 3 keystore, or hex digits in a file of mode
    0600."""
    password_file: Path | None = None
    """File whose first line is the keystore's password."""
    inventory: Path | None = None
    """Folder with the key shares and deposit data of validators to come; left out, this member registers none."""
    peers: Urls = ()
    """Base URLs of the other members' node APIs, where their signatures are fetched."""
    committees: Urls = ()
    """Sets of operators that this member lets the pool register validators with, such as ``1,2,3,4``."""
    runway_low_days: float = Field(default=14.0, gt=0)
    """A cluster that can pay for less is topped up."""
    runway_high_days: float = Field(default=28.0, gt=0)
    """A cluster is topped up to so many days."""
    report_epochs: int = Field(default=225, ge=1)
    """Reports speak of the first slot of every so many epochs. All members must have the same."""
    poll_seconds: float = Field(default=12.0, gt=0)
    """Pause between two rounds of the keeper."""
    timeout_seconds: float = Field(default=4.0, gt=0)
    """Time limit of one request to another member."""
    highest_fee_gwei: float | None = Field(default=None, gt=0)
    """Most gwei per gas that is paid; twice the base fee and the tip when left out."""

    @field_validator("peers")
    @classmethod
    def _http(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _http_urls(value) if value else ()

    @field_validator("committees")
    @classmethod
    def _ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(",".join(map(str, _operator_ids(text))) for text in value)

    @model_validator(mode="after")
    def _complete(self) -> "PoolSettings":
        if self.contract is not None and self.key_file is None:
            raise ValueError("pool.key_file where pool.contract is set")
        if self.runway_low_days >= self.runway_high_days:
            raise ValueError("pool.runway_low_days below pool.runway_high_days")
        return self

    @property
    def allowed_committees(self) -> tuple[tuple[int, ...], ...]:
        """``committees`` as operator ids, each ascending."""
        return tuple(_operator_ids(text) for text in self.committees)


class LogSettings(_Section):
    """Logging."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is printed."""
    format: Literal["console", "json"] = "console"
    """Lines for people, or one JSON object a line."""


class WorkerSettings(_Section):
    """The Celery worker that ``operator run`` starts."""

    concurrency: int = Field(default=12, ge=2, le=64)
    """Threads of the worker; a third posts, a third asks the beacon node for what duties need."""
    metrics_port: Port | None = None
    """TCP port of the worker's own ``/metrics``, on ``api_host``; left out, it has none. The requests to beacon nodes
    are counted there."""


class Settings(_Section):
    """Everything an operator configures."""

    network: str
    """Name of the SSV network: ``mainnet``, ``hoodi``, ``holesky``, ``sepolia`` or ``devnet``."""
    data_dir: Path
    """Folder of this operator's databases, sockets and network key; made with mode 0700."""
    instance: str = Field(default="ssv", pattern="^[a-z0-9][a-z0-9_-]{0,31}$")
    """Prefix of this operator's keys on the broker, so that one server can serve several operators."""
    boole_epoch: int | None = Field(default=None, ge=0, lt=2**64)
    """First epoch of the SSV network's next protocol version, Boole; never when left out. All operators of a committee
    must agree on it."""
    operator: OperatorSettings
    beacon: BeaconSettings = BeaconSettings()
    execution: ExecutionSettings = ExecutionSettings()
    registry: RegistrySettings = RegistrySettings()
    p2p: P2PSettings = P2PSettings()
    validators: ValidatorSettings = ValidatorSettings()
    pool: PoolSettings = PoolSettings()
    database_url: str | None = None
    """SQLAlchemy URL of the store; a SQLite file in ``data_dir`` when left out."""
    broker_url: str | None = Field(default=None, pattern=r"^(redis|rediss|redis\+socket|unix)://")
    """Redis or Valkey server; an embedded one in ``data_dir`` when left out."""
    api_host: str = "127.0.0.1"
    """Address that metrics and the node API listen on."""
    metrics_port: Port = 15000
    """TCP port of ``/metrics``."""
    api_port: Port = 16000
    """TCP port of the node API: ``/v1/node/health``, ``/v1/node/status``, ``/v1/pool/messages``, ``/livez``,
    ``/readyz``."""
    log: LogSettings = LogSettings()
    worker: WorkerSettings = WorkerSettings()

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: str) -> str:
        try:
            network_named(value)
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("network: ")) from None
        return value

    @property
    def ssv_network(self) -> SsvNetwork:
        """The SSV network's constants."""
        return network_named(self.network)

    @property
    def contract_address(self) -> str:
        """The registry contract's address. Raises ConfigError where neither settings nor network name one."""
        address = self.registry.contract or self.ssv_network.contract
        if address is None:
            raise ConfigError(f"registry.contract: missing, network {self.network!r} has no contract of its own")
        return address

    @property
    def first_block(self) -> int:
        """Execution block at which registry sync starts."""
        return self.ssv_network.first_block if self.registry.first_block is None else self.registry.first_block

    @property
    def pool_first_block(self) -> int:
        """Execution block from which on the pool's events are read."""
        return self.first_block if self.pool.first_block is None else self.pool.first_block

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'store.sqlite'}"

    @property
    def slashing_path(self) -> Path:
        """The node's slashing protection database."""
        return self.data_dir / "slashing.sqlite"

    @property
    def broker_dir(self) -> Path:
        """Folder of the embedded broker."""
        return self.data_dir / "broker"

    @property
    def identity_path(self) -> Path:
        """The node's network key."""
        return self.p2p.identity_file or self.data_dir / "p2p.key"


ENVIRONMENT: dict[str, str] = {
    "NETWORK": "network",
    "DATA_DIR": "data_dir",
    "INSTANCE": "instance",
    "BOOLE_EPOCH": "boole_epoch",
    "PRIVATE_KEY_FILE": "operator.private_key_file",
    "PASSWORD_FILE": "operator.password_file",
    "BEACON_NODE_ADDR": "beacon.nodes",
    "BEACON_TIMEOUT_SECONDS": "beacon.timeout_seconds",
    "BEACON_HEDGE_SECONDS": "beacon.hedge_seconds",
    "ETH_1_ADDR": "execution.nodes",
    "EXECUTION_TIMEOUT_SECONDS": "execution.timeout_seconds",
    "REGISTRY_CONTRACT": "registry.contract",
    "REGISTRY_FIRST_BLOCK": "registry.first_block",
    "REGISTRY_FOLLOW_DISTANCE": "registry.follow_distance",
    "REGISTRY_BATCH_BLOCKS": "registry.batch_blocks",
    "REGISTRY_FULL_CHECK_BLOCKS": "registry.full_check_blocks",
    "REGISTRY_CHECK_ONE_IN": "registry.check_one_in",
    "REGISTRY_SECOND_NODE": "registry.second_node",
    "REGISTRY_POLL_SECONDS": "registry.poll_seconds",
    "HOST_ADDRESS": "p2p.host",
    "TCP_PORT": "p2p.tcp_port",
    "P2P_PEERS": "p2p.peers",
    "P2P_IDENTITY_FILE": "p2p.identity_file",
    "GRAFFITI": "validators.graffiti",
    "GAS_LIMIT": "validators.gas_limit",
    "BUILDER_BOOST": "validators.builder_boost",
    "POOL_CONTRACT": "pool.contract",
    "POOL_FIRST_BLOCK": "pool.first_block",
    "POOL_KEY_FILE": "pool.key_file",
    "POOL_PASSWORD_FILE": "pool.password_file",
    "POOL_INVENTORY": "pool.inventory",
    "POOL_PEERS": "pool.peers",
    "POOL_COMMITTEES": "pool.committees",
    "POOL_RUNWAY_LOW_DAYS": "pool.runway_low_days",
    "POOL_RUNWAY_HIGH_DAYS": "pool.runway_high_days",
    "POOL_REPORT_EPOCHS": "pool.report_epochs",
    "POOL_POLL_SECONDS": "pool.poll_seconds",
    "POOL_TIMEOUT_SECONDS": "pool.timeout_seconds",
    "POOL_HIGHEST_FEE_GWEI": "pool.highest_fee_gwei",
    "DATABASE_URL": "database_url",
    "BROKER_URL": "broker_url",
    "API_HOST": "api_host",
    "METRICS_API_PORT": "metrics_port",
    "SSV_API_PORT": "api_port",
    "LOG_LEVEL": "log.level",
    "LOG_FORMAT": "log.format",
    "WORKER_CONCURRENCY": "worker.concurrency",
    "WORKER_METRICS_PORT": "worker.metrics_port",
}
"""Environment variable → dotted key of the file. Every key has its twin; a test holds this."""


def load_settings(
    path: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings.

    Args:
        path: YAML file; None when everything comes from the environment. Relative paths in it are relative to it.
        environment: environment variables, ``os.environ`` by default.
        overrides: dotted key → value from the command line.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, missing or has a bad value.
    """
    values = _read_yaml(path) if path is not None else {}
    source = f"{path}" if path is not None else "environment"
    for variable, key in ENVIRONMENT.items():
        text = (os.environ if environment is None else environment).get(variable)
        if text:
            _assign(values, key, text, source)
    for key, value in (overrides or {}).items():
        _assign(values, key, value, source)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_problem(error)}") from None
    return _anchored(settings, path.absolute().parent if path is not None else Path.cwd())


def fork_schedule(settings: Settings, slots_per_epoch: int) -> ForkSchedule:
    """The SSV protocol's versions: Alan, and Boole from the configured epoch on.

    Without an epoch, or with FAR_FUTURE_EPOCH, never. Node and workers ask this one function, so that they agree.

    Args:
        settings: name the SSV network and the epoch.
        slots_per_epoch: the beacon chain's.
    """
    network = settings.ssv_network
    alan = alan_fork(network.domain_type)
    if settings.boole_epoch is None or settings.boole_epoch == FAR_FUTURE_EPOCH:
        return ForkSchedule(alan)
    boole = boole_fork(network.boole_domain_type, network.name, slots_per_epoch)
    return ForkSchedule(alan, boole, Epoch(settings.boole_epoch))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error})") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}: not valid YAML{where}, expected a mapping of settings") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found a {type(values).__name__} at the top, expected a mapping of settings")
    return values


def _assign(values: dict[str, Any], key: str, value: object, source: str) -> None:
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{source}: {section}: found {values!r}, expected a mapping")
    values[name] = value


def _http_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("empty list, expected at least one URL")
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ValueError("a URL of the list begins otherwise, expected http:// or https://")
    return tuple(url.rstrip("/") for url in urls)


def _operator_ids(text: str) -> tuple[int, ...]:
    """Operator ids from a text such as ``1,2,3,4``. Raises ValueError: not those of a committee."""
    try:
        ids = tuple(int(part) for part in text.split(","))
    except ValueError:
        ids = ()
    if len(ids) not in (4, 7, 10, 13) or list(ids) != sorted(set(ids)) or not all(0 < number < 2**64 for number in ids):
        raise ValueError(f"4, 7, 10 or 13 operator ids in ascending order, such as 1,2,3,4, found {text[:80]!r}")
    return ids


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] == "missing":
        return f"{key}: missing"
    return f"{key}: found {_shown(problem['input'])}, expected: {problem['msg'].removeprefix('Value error, ')}"


def _shown(value: object) -> str:
    """A value for an error text; user and password of a URL are left out."""
    return re.sub(r"//[^'\"\s]*@", "//***@", repr(value))


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Relative paths count from the folder of the file that names them."""
    operator = settings.operator.model_copy(
        update={
            "private_key_file": folder / settings.operator.private_key_file,
            "password_file": folder / settings.operator.password_file,
        }
    )
    p2p = settings.p2p
    if p2p.identity_file is not None:
        p2p = p2p.model_copy(update={"identity_file": folder / p2p.identity_file})
    paths = {name: getattr(settings.pool, name) for name in ("key_file", "password_file", "inventory")}
    pool = settings.pool.model_copy(update={name: folder / path for name, path in paths.items() if path is not None})
    return settings.model_copy(
        update={"data_dir": folder / settings.data_dir, "operator": operator, "p2p": p2p, "pool": pool}
    )
