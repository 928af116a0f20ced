"""Options of the commands around a staking pool: which pool, which approvals, which network deposits are for."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ssv_pool.cli.chain_options import FILE, ChainAccess
from ssv_pool.errors import ConfigError, SsvPoolError

if TYPE_CHECKING:
    from ssv_pool.pool.approvals import Message
    from ssv_pool.pool.contract import PoolContract
    from ssv_pool.pool.deposit_data import DepositNetwork
    from ssv_pool.registry.calls import Call
    from ssv_pool.registry.transactions import TransactionSender

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
"""A folder's path."""


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """Which pool is meant."""

    address: str | None
    first_block: int

    def open(self, access: ChainAccess) -> "PoolContract":
        """A client of the contract, which is there and is a pool, on the chain that is meant.

        Raises:
            ConfigError: no address, not one, or the node follows another chain.
            ContractError: no contract there, or one of another kind.
            UnavailableError: the node does not answer.
        """
        from ssv_pool.pool.contract import PoolContract

        if self.address is None:
            raise ConfigError("pool: missing, expected --pool ADDRESS (or POOL_CONTRACT)")
        contract = PoolContract(access.connect(), self.address, first_block=self.first_block, timeout=access.timeout)
        contract.check()
        return contract


def pool_options(command: Command) -> Command:
    """Options that name the pool; the command is called with ``target``, a `PoolTarget`."""

    @functools.wraps(command)
    def wrapped(*args: Any, pool_address: str | None, pool_first_block: int, **rest: Any) -> Any:
        return command(*args, target=PoolTarget(pool_address, pool_first_block), **rest)

    decorated: Any = wrapped
    for option in reversed(
        (
            click.option(
                "--pool",
                "pool_address",
                envvar="POOL_CONTRACT",
                metavar="ADDRESS",
                help="The staking pool's contract, also from POOL_CONTRACT.",
            ),
            click.option(
                "--pool-first-block",
                type=click.IntRange(0),
                envvar="POOL_FIRST_BLOCK",
                default=0,
                help="Block of its deployment, also from POOL_FIRST_BLOCK: events are searched from there.",
            ),
        )
    ):
        decorated = option(decorated)
    return cast("Command", decorated)


@dataclass(frozen=True, slots=True)
class Approvals:
    """What a command was told of members' signatures."""

    sign: Path | None
    """Where to write the account's own signature instead of sending."""
    files: tuple[Path, ...]
    """Other members' signatures."""

    def run(
        self,
        access: ChainAccess,
        contract: "PoolContract",
        message: "Message",
        make: "Callable[[list[bytes]], Call]",
        values: Mapping[str, Any],
        *,
        sign_own: bool = True,
    ) -> None:
        """Sign a message into a file, or send it with a quorum's signatures, and print the outcome.

        Args:
            access: the chain and the account.
            contract: the pool.
            message: what members approve.
            make: makes the call of the signatures.
            values: what to print.
            sign_own: whether the account, when it is a member, signs too before it is sent.

        Raises:
            SsvPoolError: the account is no member, signatures are missing or bad, or the call was refused.
        """
        from ssv_pool.pool.approval_files import ApprovalError, collect, read_approval, write_approval
        from ssv_pool.pool.approvals import sign

        domain, members = contract.domain(), contract.members()
        sender = access.sender(contract.w3)
        member = sender.address in members
        action = make([]).action
        if self.sign is not None:
            if self.files:
                raise click.UsageError("give either --sign FILE or --approval FILE")
            if not member:
                raise ApprovalError(
                    f"{action}: {sender.address} is no member of the pool: sign with a member's account"
                )
            signed = sign(domain, message, sender.account)
            if not access.dry_run:
                write_approval(self.sign, domain, signed)
            access.show(dict(values) | {"signed_by": sender.address, "approval": str(self.sign)})
            return
        found = [(f"approval {path}", read_approval(path, domain)) for path in self.files]
        if member and sign_own:
            found.append(("the own signature", sign(domain, message, sender.account)))
        approvals = collect(action, message, members, contract.quorum(), found)
        sent = contract.send(sender, make(approvals), dry_run=access.dry_run)
        access.show(dict(values) | {"approvals": len(approvals)}, sent)


def approval_options(command: Command) -> Command:
    """Options around members' signatures; the command is called with ``approvals``, an `Approvals`."""

    @functools.wraps(command)
    def wrapped(*args: Any, sign_file: Path | None, approval_files: tuple[Path, ...], **rest: Any) -> Any:
        return command(*args, approvals=Approvals(sign_file, approval_files), **rest)

    decorated = click.option(
        "--approval", "approval_files", type=FILE, multiple=True, help="A member's signature, from --sign. Repeat."
    )(wrapped)
    return cast(
        "Command",
        click.option(
            "--sign", "sign_file", type=FILE, help="Write the account's signature to this new file; nothing is sent."
        )(decorated),
    )


def fork_option(command: Command) -> Command:
    """``--fork-version``: that deposits are signed for."""
    return click.option(
        "--fork-version",
        envvar="POOL_FORK_VERSION",
        metavar="HEX",
        help="Genesis fork version of the beacon chain, where the chain is none of the known networks.",
    )(command)


def network_of(contract: "PoolContract", fork_version: str | None) -> "DepositNetwork":
    """The network that deposits are for: by the chain, or by ``--fork-version``.

    Raises:
        ConfigError: not 4 bytes, another one than the chain's, or missing where the chain is not known.
    """
    from ssv_pool.pool.deposit_data import NETWORKS, DepositNetwork

    chain_id = contract.domain().chain_id
    known = NETWORKS.get(chain_id)
    if fork_version is None:
        if known is None:
            raise ConfigError(
                f"fork version: missing, expected --fork-version HEX (GENESIS_FORK_VERSION of the beacon chain), for "
                f"chain {chain_id} is none of the known networks"
            )
        return known
    try:
        version = bytes.fromhex(fork_version.removeprefix("0x"))
    except ValueError:
        version = b""
    if len(version) != 4:
        raise ConfigError(f"fork version: {fork_version[:40]!r}, expected 8 hex digits")
    if known is not None and known.fork_version != version:
        raise ConfigError(
            f"fork version: 0x{version.hex()}, expected 0x{known.fork_version.hex()} of {known.name}: leave it out"
        )
    return known or DepositNetwork("devnet", version)


def require_member(contract: "PoolContract", sender: "TransactionSender", action: str) -> None:
    """Make sure that the account is a member. Raises SsvPoolError."""
    members = contract.members()
    if sender.address not in members:
        raise SsvPoolError(f"{action}: {sender.address} is no member of the pool, expected one of {', '.join(members)}")


def require_running(contract: "PoolContract", action: str) -> None:
    """Make sure that the pool is not paused. Raises SsvPoolError, which says who paused it."""
    pause = contract.pause_state()
    if pause.paused:
        raise SsvPoolError(
            f"{action}: the pool is paused by {pause.by} since {when(pause.since)} until {when(pause.until)} at most "
            f"({pause.reason or 'no reason given'}): wait, or ask its owner"
        )


def when(unix: int) -> str:
    """A time as people read it, UTC."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short_ids(operator_ids: Sequence[int]) -> str:
    """Operator ids with commas between them."""
    return ",".join(map(str, operator_ids))
