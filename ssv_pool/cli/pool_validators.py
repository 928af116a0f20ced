"""``ssv-pool pool``: what members do with validators and clusters. Most of it takes a quorum's signatures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import FILE, ChainAccess, Ether, sending_options
from ssv_pool.cli.pool_options import (
    FOLDER,
    Approvals,
    PoolTarget,
    approval_options,
    fork_option,
    network_of,
    pool_options,
    require_member,
    require_running,
    short_ids,
)
from ssv_pool.cli.registry_options import ValidatorKey, cluster_option
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey

if TYPE_CHECKING:
    from ssv_pool.pool.contract import PoolContract, RegisteredValidator
    from ssv_pool.pool.deposit_data import DepositData
    from ssv_pool.pool.keyshares import KeyShares

_DEPOSIT = 32 * 10**18
_BEACON_SECONDS = 30.0
_STATES = ("never registered", "registered", "funded", "asked to exit", "retired")
_INVENTORY = click.option("--inventory", type=FOLDER, help="Folder of validators that are ready (`pool keys make`).")
_DAYS = click.option(
    "--days", type=click.FloatRange(0.01, 36_500), default=30.0, show_default=True, help="Instead: for so many days."
)
_BLOCK_SECONDS = click.option(
    "--block-seconds",
    type=click.FloatRange(0.1, 3600),
    default=12.0,
    show_default=True,
    help="Seconds between blocks, to count days by.",
)


@click.group()
def committee() -> None:
    """Committees of operators that the pool's validators may be registered with."""


@committee.command("allow")
@click.option("--forbid", is_flag=True, help="Take it back instead.")
@cluster_option
@approval_options
@pool_options
@sending_options
def committee_allow(
    operator_ids: tuple[OperatorId, ...], forbid: bool, approvals: Approvals, target: PoolTarget, access: ChainAccess
) -> None:
    """Let members register validators with these operators. Takes a quorum's signatures."""
    from ssv_pool.pool.approvals import Committee

    contract = target.open(access)
    allowed = bool(contract.ask("committeeAllowed", list(operator_ids)))
    if allowed is not forbid:
        state = "allowed" if allowed else "not allowed"
        raise SsvPoolError(f"committee {short_ids(operator_ids)}: {state} already, nothing is to be done")
    registry = contract.registry()
    for operator_id in operator_ids:
        if not forbid and not registry.operator(operator_id).active:
            raise SsvPoolError(
                f"committee {short_ids(operator_ids)}: there is no operator {operator_id}, choose another"
            )
    message = Committee(operator_ids, not forbid, contract.number("clusterNonce"))
    approvals.run(
        access,
        contract,
        message,
        lambda signatures: contract.calls.allow_committee(message, signatures),
        {"operators": list(operator_ids), "allowed": not forbid},
    )


@click.command("register-validator")
@_INVENTORY
@click.option("--key-shares", type=FILE, help="A key shares file with one validator instead.")
@click.option("--amount", type=Ether(), help="ETH of the pool for the cluster.")
@_DAYS
@_BLOCK_SECONDS
@fork_option
@pool_options
@sending_options
def register_validator(
    inventory: Path | None,
    key_shares: Path | None,
    amount: int | None,
    days: float,
    block_seconds: float,
    fork_version: str | None,
    target: PoolTarget,
    access: ChainAccess,
) -> None:
    """Register the inventory's next validator, or that of a key shares file. By a member.

    The pool pays the cluster what its validators need for some days, within its budget.
    """
    from ssv_pool.cli.registry_validators import check_operators
    from ssv_pool.pool.inventory import check_shares
    from ssv_pool.registry.history import NEW_CLUSTER
    from ssv_pool.registry.transactions import ether

    if (inventory is None) == (key_shares is None):
        raise click.UsageError("give either --inventory FOLDER or --key-shares FILE")
    contract = target.open(access)
    sender = access.sender(contract.w3)
    require_member(contract, sender, "register a validator")
    require_running(contract, "register a validator")
    registry = contract.registry()
    nonce = registry.owner_nonce(contract.address)
    shares = _next_shares(contract, inventory, key_shares, nonce, fork_version)
    name = f"validator 0x{shares.public_key.hex()}"
    if (state := contract.validator_state(shares.public_key)) != 0:
        raise SsvPoolError(f"{name}: {_STATES[state]} already by the pool, a key is used once: make another")
    check_shares(shares, contract.address, nonce, name)
    check_operators(contract.registry(whole=True), [shares])
    if not contract.ask("committeeAllowed", list(shares.operator_ids)):
        raise SsvPoolError(
            f"{name}: committee {short_ids(shares.operator_ids)} is not allowed, let a quorum do so by "
            "`pool committee allow`"
        )
    cluster = registry.cluster(contract.address, shares.operator_ids)
    held = (
        0 if cluster == NEW_CLUSTER else registry.status(contract.address, shares.operator_ids, cluster=cluster).balance
    )
    reserve, burn = registry.views.needs_of(shares.operator_ids, cluster.validator_count + 1)
    wanted = reserve + burn * int(days * 86_400 / block_seconds + 1)
    payment = max(0, wanted - held) if amount is None else amount
    if held + payment < reserve:
        raise SsvPoolError(
            f"{name}: its cluster must hold {ether(reserve)} ETH then, and holds {ether(held)}: give --amount "
            f"{ether(reserve - held)} or more"
        )
    if payment > (allowance := contract.number("clusterAllowance")):
        raise SsvPoolError(
            f"{name}: {ether(payment)} ETH for its cluster, and the pool may pay {ether(allowance)} in this window of "
            "30 days: give a lower --amount or fewer --days, or wait"
        )
    call = contract.calls.register_validator(
        shares.public_key, shares.operator_ids, shares.shares_data, payment, cluster
    )
    sent = contract.send(sender, call, dry_run=access.dry_run)
    access.show(
        {
            "validator": f"0x{shares.public_key.hex()}",
            "operators": list(shares.operator_ids),
            "nonce": nonce,
            "payment": access.amount(payment),
        },
        sent,
    )


@click.command("fund-validator")
@click.argument("public_key", type=ValidatorKey(), metavar="KEY")
@_INVENTORY
@click.option("--deposit-data", type=FILE, help="A deposit data file instead.")
@click.option(
    "--beacon-node",
    metavar="URL",
    help="Make sure that this beacon node's state has no such key (deposits before the pool).",
)
@fork_option
@approval_options
@pool_options
@sending_options
def fund_validator(
    public_key: PublicKey,
    inventory: Path | None,
    deposit_data: Path | None,
    beacon_node: str | None,
    fork_version: str | None,
    approvals: Approvals,
    target: PoolTarget,
    access: ChainAccess,
) -> None:
    """Deposit 32 ETH for the registered validator KEY. Takes a quorum's signatures; anybody may send them.

    Whoever deposits first for a key decides who may withdraw. So members sign the root of all deposits in which they
    have seen none for this key, and one more deposit by anybody makes the signatures worthless: sign and send soon.
    """
    from ssv_pool.pool.approvals import Funding
    from ssv_pool.registry.transactions import ether

    if (inventory is None) == (deposit_data is None):
        raise click.UsageError("give either --inventory FOLDER or --deposit-data FILE")
    contract = target.open(access)
    name = f"fund validator 0x{public_key.hex()}"
    require_running(contract, name)
    if (state := contract.validator_state(public_key)) != 1:
        hint = "register it first" if state == 0 else "nothing is to be done"
        raise SsvPoolError(f"{name}: {_STATES[state]}, expected registered: {hint}")
    deposit = _deposit(contract, public_key, inventory, deposit_data, fork_version)
    # Root first: a deposit between the two looks changes the root, and the contract refuses the signature.
    root = contract.deposit_root()
    for made in contract.deposits():
        if made.public_key == public_key:
            raise SsvPoolError(
                f"{name}: somebody has deposited {made.amount} Gwei for this key in block {made.block_number} with "
                f"withdrawal credentials 0x{made.withdrawal_credentials.hex()}: never fund it, retire it by "
                "`pool remove-validator` and use another key"
            )
    if beacon_node is not None:
        _check_unknown(beacon_node, public_key, name)
    if (free := contract.number("fundable")) < _DEPOSIT:
        raise SsvPoolError(f"{name}: {ether(free)} ETH are free, expected 32: wait for stakes or a report")
    message = Funding(bytes(public_key), bytes(deposit.signature), bytes(deposit.data_root), root)
    approvals.run(
        access,
        contract,
        message,
        lambda signatures: contract.calls.fund_validator(message, signatures),
        {"validator": f"0x{public_key.hex()}", "deposit_root": f"0x{root.hex()}"},
    )


@click.command("exit-validators")
@click.argument("public_keys", type=ValidatorKey(), metavar="KEY", nargs=-1, required=True)
@pool_options
@sending_options
def exit_validators(public_keys: tuple[PublicKey, ...], target: PoolTarget, access: ChainAccess) -> None:
    """Ask the operators to exit validators of one committee. By a member, while leavers wait for more than there is."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    require_member(contract, sender, "exit validators")
    found = [_registration(contract, key) for key in public_keys]
    for item in found:
        if (state := contract.validator_state(item.public_key)) != 2:
            raise SsvPoolError(f"exit validator 0x{item.public_key.hex()}: {_STATES[state]}, expected funded")
    committees = {item.operator_ids for item in found}
    if len(committees) != 1 or len(set(public_keys)) != len(public_keys):
        raise SsvPoolError("exit validators: give each once, and those of one committee in one command")
    (ids,) = committees
    sent = contract.send(sender, contract.calls.exit_validators(public_keys, ids), dry_run=access.dry_run)
    access.show({"exit_requested": [f"0x{key.hex()}" for key in public_keys], "operators": list(ids)}, sent)


@click.command("remove-validator")
@click.argument("public_key", type=ValidatorKey(), metavar="KEY")
@approval_options
@pool_options
@sending_options
def remove_validator(public_key: PublicKey, approvals: Approvals, target: PoolTarget, access: ChainAccess) -> None:
    """Take the validator KEY out of the registry for good, when it was withdrawn or will never be funded.

    Takes a quorum's signatures. Its operators stop its duties at once.
    """
    from ssv_pool.pool.approvals import Removal

    contract = target.open(access)
    registered = _registration(contract, public_key)
    name = f"remove validator 0x{public_key.hex()}"
    if contract.validator_state(public_key) == 4:
        raise SsvPoolError(f"{name}: retired already, nothing is to be done")
    cluster = contract.registry().cluster(contract.address, _operators(registered.operator_ids))
    message = Removal(bytes(public_key))
    approvals.run(
        access,
        contract,
        message,
        lambda signatures: contract.calls.remove_validator(message, registered.operator_ids, cluster, signatures),
        {"removed": f"0x{public_key.hex()}", "operators": list(registered.operator_ids)},
    )


@click.group()
def cluster() -> None:
    """Balances of the pool's clusters in the registry. All of it takes a quorum's signatures."""


def _cluster_command(verb: str, help_text: str) -> None:
    @cluster.command(verb, help=help_text)
    @cluster_option
    @click.option("--amount", required=True, type=Ether(), help="ETH.")
    @approval_options
    @pool_options
    @sending_options
    def command(
        operator_ids: tuple[OperatorId, ...],
        amount: int,
        approvals: Approvals,
        target: PoolTarget,
        access: ChainAccess,
    ) -> None:
        _change_cluster(verb, operator_ids, amount, approvals, target.open(access), access)


_cluster_command("pay", "Add ETH of the pool to a cluster's balance, within the budget.")
_cluster_command("refund", "Take ETH back from a cluster's balance.")
_cluster_command("reactivate", "Start a liquidated cluster again with ETH of the pool, within the budget.")


def _change_cluster(
    verb: str,
    operator_ids: tuple[OperatorId, ...],
    amount: int,
    approvals: Approvals,
    contract: "PoolContract",
    access: ChainAccess,
) -> None:
    from ssv_pool.pool.approvals import ClusterPayment, ClusterReactivation, ClusterRefund
    from ssv_pool.registry.history import NEW_CLUSTER
    from ssv_pool.registry.transactions import ether

    name = f"{verb} cluster {short_ids(operator_ids)}"
    state = contract.registry().cluster(contract.address, operator_ids)
    if state == NEW_CLUSTER:
        raise SsvPoolError(f"{name}: the pool has no cluster with these operators, check --operators")
    if state.active == (verb == "reactivate"):
        raise SsvPoolError(
            f"{name}: it is active already, use `pool cluster pay`"
            if state.active
            else f"{name}: it is liquidated, use `pool cluster reactivate`"
        )
    if verb != "refund":
        require_running(contract, name)
        if amount > (allowance := contract.number("clusterAllowance")):
            raise SsvPoolError(
                f"{name}: {ether(amount)} ETH, and the pool may pay {ether(allowance)} in this window of 30 days: "
                "give less, or wait"
            )
    nonce = contract.number("clusterNonce")
    kinds: dict[str, tuple[Any, Any]] = {
        "pay": (ClusterPayment, contract.calls.pay_cluster),
        "refund": (ClusterRefund, contract.calls.refund_cluster),
        "reactivate": (ClusterReactivation, contract.calls.reactivate_cluster),
    }
    kind, make = kinds[verb]
    message = kind(operator_ids, amount, nonce)
    approvals.run(
        access,
        contract,
        message,
        lambda signatures: make(message, state, signatures),
        {"operators": list(operator_ids), "amount": access.amount(amount), "nonce": nonce},
    )


def _next_shares(
    contract: "PoolContract", inventory: Path | None, key_shares: Path | None, nonce: int, fork_version: str | None
) -> "KeyShares":
    """Key shares to register now. Raises SsvPoolError: there are none, or not one validator's."""
    from ssv_pool.pool.inventory import Inventory
    from ssv_pool.pool.keyshares import read_key_shares

    if inventory is not None:
        used = {item.public_key for item in contract.registrations()}
        fork = network_of(contract, fork_version).fork_version
        return Inventory(inventory, contract.address, fork).next(nonce, used).shares
    assert key_shares is not None  # noqa: S101 - checked by the caller, which the type checker does not see
    found = read_key_shares(key_shares)
    if len(found) != 1:
        raise SsvPoolError(f"{key_shares}: {len(found)} validators, expected one: a pool registers one at a time")
    return found[0]


def _deposit(
    contract: "PoolContract",
    public_key: PublicKey,
    inventory: Path | None,
    deposit_data: Path | None,
    fork_version: str | None,
) -> "DepositData":
    """A key's deposit data, good for the pool. Raises SsvPoolError: there is none, or it is for others."""
    from ssv_pool.pool.deposit_data import read_deposit_data
    from ssv_pool.pool.inventory import Inventory

    fork = network_of(contract, fork_version).fork_version
    if inventory is not None:
        folder = Inventory(inventory, contract.address, fork)
        found = folder.deposit_of(public_key)
        if found is None:
            hint = f"; {folder.problems[0]}" if folder.problems else ""
            raise SsvPoolError(f"inventory {inventory}: no deposit data for key 0x{public_key.hex()}{hint}")
        return found
    assert deposit_data is not None  # noqa: S101 - checked by the caller, which the type checker does not see
    for item in read_deposit_data(deposit_data):
        if item.public_key == public_key:
            item.check(contract.withdrawal_credentials(), fork, str(deposit_data))
            return item
    raise SsvPoolError(f"{deposit_data}: no deposit of key 0x{public_key.hex()}: name the file that has it")


def _check_unknown(beacon_node: str, public_key: PublicKey, name: str) -> None:
    """Make sure that the beacon chain has never heard of a key. Raises SsvPoolError, UnavailableError."""
    from ssv_pool.beacon.client import BeaconClient

    beacon = BeaconClient([beacon_node], _BEACON_SECONDS)
    try:
        known = beacon.validator_states("head", [public_key])
        waiting = beacon.pending_deposits() or frozenset()
    finally:
        beacon.close()
    if known or public_key in waiting:
        raise SsvPoolError(
            f"{name}: the beacon chain knows this key already, so somebody has deposited for it: never fund it, retire "
            "it by `pool remove-validator` and use another key"
        )


def _registration(contract: "PoolContract", public_key: PublicKey) -> "RegisteredValidator":
    """A key's registration. Raises SsvPoolError: the pool has none."""
    for item in contract.registrations():
        if item.public_key == public_key:
            return item
    raise SsvPoolError(
        f"validator 0x{public_key.hex()}: the pool has never registered it, check the key (and POOL_FIRST_BLOCK)"
    )


def _operators(ids: tuple[int, ...]) -> tuple[OperatorId, ...]:
    return tuple(map(OperatorId, ids))
