"""``ssv-pool pool report``: compute a report by own data, sign it, or send it with a quorum's signatures."""

from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import ChainAccess, Ether, sending_options
from ssv_pool.cli.pool_options import Approvals, PoolTarget, approval_options, pool_options, require_running
from ssv_pool.errors import SsvPoolError

if TYPE_CHECKING:
    from ssv_pool.pool.approvals import Report
    from ssv_pool.pool.contract import PoolContract

_BEACON_SECONDS = 30.0


@click.command()
@click.option(
    "--beacon-node", metavar="URL", help="Compute the report by this beacon node's finalized state (Beacon API)."
)
@click.option("--slot", type=click.IntRange(1, 2**63), help="Slot of the beacon state. Default: the finalized one.")
@click.option("--beacon-balance", type=Ether(), help="Without a beacon node: ETH of all the pool's validators there.")
@click.option(
    "--block",
    type=click.IntRange(0),
    help="Without a beacon node: the execution block in that state. Default: the latest.",
)
@click.option(
    "--exited",
    type=click.IntRange(0),
    help="Without a beacon node: how many validators that were asked to exit are withdrawn, of all ever.",
)
@approval_options
@pool_options
@sending_options
def report(
    beacon_node: str | None,
    slot: int | None,
    beacon_balance: int | None,
    block: int | None,
    exited: int | None,
    approvals: Approvals,
    target: PoolTarget,
    access: ChainAccess,
) -> None:
    """Report what the pool's validators are worth and what has come in. Takes a quorum's signatures.

    Each member computes it by own data, from a beacon node or by the amounts given, and signs it into a file (--sign).
    Whoever has a quorum's files sends them (--approval); own data are not needed for that, and a member that gives
    none does not sign.
    """
    contract = target.open(access)
    require_running(contract, "report")
    own = True
    if beacon_node is not None:
        if beacon_balance is not None or block is not None or exited is not None:
            raise click.UsageError("give either --beacon-node or the amounts")
        message = _from_beacon_node(contract, beacon_node, slot)
    elif beacon_balance is not None:
        if slot is None:
            raise click.UsageError("--beacon-balance needs --slot")
        message = _from_amounts(contract, slot, beacon_balance, block, exited)
    elif approvals.files and approvals.sign is None and slot is None and block is None and exited is None:
        own = False
        message = _signed_one(contract, approvals)
    else:
        raise click.UsageError(
            "give --beacon-node URL, or --slot and --beacon-balance, or only --approval files to send"
        )
    lowest, highest = contract.report_bounds()
    change = _change(contract, message)
    values: dict[str, Any] = {
        "report": message.number,
        "slot": message.slot,
        "block": message.block_number,
        "beacon_balance": access.amount(message.beacon_balance),
        "deposits_counted": access.amount(message.deposits_counted),
        "received": access.amount(message.received),
        "exited": message.exited,
        "change": access.amount(change),
    }
    if change > highest:
        values["booked_now"] = access.amount(highest)
    if change < lowest:
        raise SsvPoolError(
            f"report {message.number}: a change of {_ether(change)} ETH, and the pool books none below "
            f"{_ether(lowest)}: check the data; if they are right, its owner must announce a higher maxLoss"
        )
    approvals.run(
        access,
        contract,
        message,
        lambda signatures: contract.calls.report(message, signatures),
        values,
        sign_own=own,
    )


def _from_amounts(
    contract: "PoolContract", slot: int, beacon_balance: int, block: int | None, exited: int | None
) -> "Report":
    from ssv_pool.pool.approvals import Report
    from ssv_pool.registry.chain import translated

    last, _ = contract.last_report()
    with translated(contract.w3, "read the latest block"):
        head = int(contract.w3.eth.block_number)
    place = head if block is None else block
    if place > head:
        raise SsvPoolError(f"report: block {place}, and the node's latest is {head}: give an earlier one")
    return Report(
        number=last.number + 1,
        slot=slot,
        block_number=place,
        beacon_balance=beacon_balance,
        deposits_counted=contract.number("depositedTotal", block=place),
        received=contract.number("receivedTotal", block=place) + contract.number("unbooked", block=place),
        exited=last.exited if exited is None else exited,
    )


def _signed_one(contract: "PoolContract", approvals: Approvals) -> "Report":
    """The report that the first file is over, with what the chain knows of it checked."""
    from ssv_pool.pool.approval_files import read_approval
    from ssv_pool.pool.approvals import Report

    path = approvals.files[0]
    message = read_approval(path, contract.domain()).message
    if not isinstance(message, Report):
        raise SsvPoolError(f"approval {path}: of a {message.KIND}, expected a report")
    mine = _from_amounts(contract, message.slot, message.beacon_balance, message.block_number, message.exited)
    if mine != message:
        raise SsvPoolError(
            f"approval {path}: report {message.number} with deposits {_ether(message.deposits_counted)} and received "
            f"{_ether(message.received)} ETH, and the chain says number {mine.number}, "
            f"{_ether(mine.deposits_counted)} and {_ether(mine.received)}: have a new one signed"
        )
    return message


def _from_beacon_node(contract: "PoolContract", url: str, slot: int | None) -> "Report":
    from ssv_pool.beacon.client import BeaconClient
    from ssv_pool.pool.beacon_facts import SKIPPED_SLOTS, beacon_facts, execution_block
    from ssv_pool.pool.report import LastReport, ReportFacts, compute_report
    from ssv_pool.protocol.types.primitives import Slot

    last, _ = contract.last_report()
    beacon = BeaconClient([url], _BEACON_SECONDS)
    try:
        final = beacon.chain().first_slot(beacon.finalized_epoch())
        place = final if slot is None else Slot(slot)
        if place > final:
            raise SsvPoolError(f"report: slot {place}, and slot {final} is the last that is final: give an earlier one")
        block = execution_block(beacon, place)
        if block is None:
            raise SsvPoolError(f"report: the beacon node has no block in {SKIPPED_SLOTS} slots up to {place}")
        funded = contract.funded_keys(block=block)
        state = beacon_facts(beacon, str(place), funded)
    finally:
        beacon.close()
    facts = ReportFacts(
        slot=place,
        block_number=block,
        funded=funded,
        exit_requested=contract.exit_requests(block),
        state=state,
        deposited_total=contract.number("depositedTotal", block=block),
        received_total=contract.number("receivedTotal", block=block),
        unbooked=contract.number("unbooked", block=block),
    )
    made = compute_report(LastReport(last.number, last.slot, last.block_number, last.exited), facts)
    if made is None:
        raise SsvPoolError(
            f"report: slot {place} with block {block}, and the pool has a report of slot {last.slot} and block "
            f"{last.block_number} already: wait until a later slot is final"
        )
    return made


def _change(contract: "PoolContract", message: "Report") -> int:
    """What the report would add to the pool's assets if its bounds let it, wei."""
    old = contract.number("totalAssets") - contract.number("buffered")
    received = message.received - contract.number("receivedTotal")
    return message.beacon_balance + contract.number("depositedTotal") - message.deposits_counted + received - old


def _ether(wei: int) -> str:
    from ssv_pool.registry.transactions import ether

    return ether(wei)
