"""Options of the commands around the registry contract: which contract, which cluster, which validators."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ssv_pool.cli.chain_options import ChainAccess, network_names
from ssv_pool.errors import ConfigError
from ssv_pool.networks import network_named
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey

if TYPE_CHECKING:
    from ssv_pool.registry.contract import RegistryContract

Command = TypeVar("Command", bound=Callable[..., Any])

_COMMITTEES = (4, 7, 10, 13)
_MAX_ID = 2**64 - 1
_MAX_LIST = 32


@dataclass(frozen=True, slots=True)
class RegistryTarget:
    """Which registry contract is meant."""

    network: str | None
    registry: str | None
    views: str | None
    first_block: int | None

    def open(self, access: ChainAccess) -> "RegistryContract":
        """A client of the contract, which is there and is a registry, on the chain that is meant.

        Raises:
            ConfigError: no address, not one, or the node follows another chain.
            ContractError: no contract there, or one of another kind.
            UnavailableError: the node does not answer.
        """
        from ssv_pool.registry.chain import check_chain
        from ssv_pool.registry.contract import RegistryContract

        if self.registry is not None and self.network is not None:
            raise click.UsageError("give either --registry ADDRESS (or REGISTRY_CONTRACT) or --network NAME, not both")
        known = None if self.network is None else network_named(self.network)
        address = self.registry or (None if known is None else known.contract)
        if address is None:
            raise ConfigError(
                "registry: missing, expected --registry ADDRESS (or REGISTRY_CONTRACT), or --network NAME for the "
                "SSV network's own"
            )
        w3 = access.connect()
        if known is not None and access.chain_id is None and known.chain_id is not None:
            check_chain(w3, known.chain_id)
        first = self.first_block if self.first_block is not None else 0 if known is None else known.first_block
        views = self.views or (None if known is None else known.views)
        contract = RegistryContract(w3, address, views=views, first_block=first, timeout=access.timeout)
        contract.check()
        return contract


def registry_options(command: Command) -> Command:
    """Options that name the registry; the command is called with ``target``, a `RegistryTarget`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any, network: str | None, registry: str | None, views: str | None, first_block: int | None, **rest: Any
    ) -> Any:
        return command(*args, target=RegistryTarget(network, registry, views, first_block), **rest)

    options = (
        click.option(
            "--registry",
            envvar="REGISTRY_CONTRACT",
            metavar="ADDRESS",
            help="The registry contract, also from REGISTRY_CONTRACT.",
        ),
        click.option(
            "--network",
            type=click.Choice(network_names()),
            help="The SSV network's own contract on this network instead.",
        ),
        click.option("--views", metavar="ADDRESS", help="Contract that answers view calls, where it is another one."),
        click.option(
            "--first-block",
            type=click.IntRange(0),
            envvar="REGISTRY_FIRST_BLOCK",
            help="Block of the contract's deployment, also from REGISTRY_FIRST_BLOCK: events are searched from there.",
        ),
    )
    decorated: Any = wrapped
    for option in reversed(options):
        decorated = option(decorated)
    return cast("Command", decorated)


class OperatorIds(click.ParamType[tuple[OperatorId, ...]]):
    """Operator ids with commas between them, ascending.

    Args:
        committee: whether they are a cluster's: 4, 7, 10 or 13 of them.
    """

    name = "IDS"

    def __init__(self, *, committee: bool = False) -> None:
        self.committee = committee

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[OperatorId, ...]:
        """The ids, or an error that says what is wrong with them."""
        if isinstance(value, tuple):
            return value
        ids = []
        for text in str(value).split(","):
            digits = text.strip()
            if not digits.isascii() or not digits.isdecimal() or not 1 <= int(digits[:21]) <= _MAX_ID:
                self.fail(
                    f"{str(value)[:80]!r}, expected operator ids with commas between them such as 1,2,3,4", param, ctx
                )
            ids.append(OperatorId(int(digits)))
        ascending = sorted(set(ids))
        if ids != ascending:
            found, wanted = (",".join(map(str, listed)) for listed in (ids, ascending))
            self.fail(f"{found}, expected ascending ids, none twice: {wanted}", param, ctx)
        if self.committee and len(ids) not in _COMMITTEES:
            self.fail(f"{len(ids)} operators, expected 4, 7, 10 or 13", param, ctx)
        if len(ids) > _MAX_LIST:
            self.fail(f"{len(ids)} operators, expected at most {_MAX_LIST}", param, ctx)
        return tuple(ids)


class ValidatorKey(click.ParamType[PublicKey]):
    """A validator's public key: 48 bytes in hex."""

    name = "KEY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> PublicKey:
        """The key's 48 bytes."""
        if isinstance(value, bytes):
            return PublicKey(value)
        try:
            key = bytes.fromhex(str(value).removeprefix("0x"))
        except ValueError:
            key = b""
        if len(key) != 48:
            self.fail(f"{str(value)[:110]!r}, expected a validator's public key: 0x and 96 hex digits", param, ctx)
        return PublicKey(key)


class Address(click.ParamType[str]):
    """An Ethereum address, in EIP-55 mixed case afterwards."""

    name = "ADDRESS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The address with its checksum. Raises ConfigError."""
        from ssv_pool.registry.chain import checksummed

        return checksummed(str(value), "address" if param is None else param.opts[0])


def cluster_option(command: Command) -> Command:
    """``--operators``: a cluster's operators."""
    return click.option(
        "--operators",
        "operator_ids",
        required=True,
        type=OperatorIds(committee=True),
        help="The cluster's 4, 7, 10 or 13 operators, ascending, such as 1,2,3,4.",
    )(command)
