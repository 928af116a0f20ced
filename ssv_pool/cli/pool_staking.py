"""``ssv-pool pool``: what stakers do: stake, unstake, claim, and look at what they have."""

from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import ChainAccess, Ether, chain_options, sending_options
from ssv_pool.cli.pool_options import PoolTarget, pool_options, require_running
from ssv_pool.cli.registry_options import Address
from ssv_pool.errors import SsvPoolError

if TYPE_CHECKING:
    from ssv_pool.pool.contract import PoolContract, WithdrawalRequest

REQUEST_STATES = ("unknown", "waiting", "can be claimed", "paid")
"""Names of the contract's request states, from 0."""

_MOST_CLAIMS = 64


@click.command()
@click.argument("amount", type=Ether())
@click.option("--receiver", type=Address(), help="Who gets the shares. Default: the account.")
@pool_options
@sending_options
def stake(amount: int, receiver: str | None, target: PoolTarget, access: ChainAccess) -> None:
    """Give AMOUNT ETH to the pool for shares of all it owns."""
    contract = target.open(access)
    require_running(contract, "stake")
    sender = access.sender(contract.w3)
    access.agree(amount, "stake")
    expected = contract.number("convertToShares", amount)
    sent = contract.send(sender, contract.calls.stake(amount, receiver), dry_run=access.dry_run)
    got = expected if sent.mined is None else contract.shares_of(sent.receipt)
    access.show(
        {"staked": access.amount(amount), "receiver": receiver or sender.address, "shares": _shares(access, got)}, sent
    )


@click.command()
@click.argument("amount", metavar="SHARES|all")
@click.option("--receiver", type=Address(), help="Who will be paid. Default: the account.")
@pool_options
@sending_options
def unstake(amount: str, receiver: str | None, target: PoolTarget, access: ChainAccess) -> None:
    """Put SHARES of the account into the queue of those who leave, or all of them.

    They earn nothing more. The request is ready after a later report, first in, first out; `pool claim` then pays.
    """
    contract = target.open(access)
    sender = access.sender(contract.w3)
    held = contract.number("balanceOf", sender.address)
    shares = held if amount == "all" else Ether().convert(amount, None, None)
    if shares == 0 or shares > held:
        raise SsvPoolError(
            f"unstake: {sender.address} holds {_ether(held)} shares, "
            + (f"expected at least {_ether(shares)}: ask for less" if shares else "expected an amount above zero")
        )
    worth = contract.number("withdrawalValue", shares)
    place = receiver or sender.address
    sent = contract.send(sender, contract.calls.request_withdrawal(shares, place), dry_run=access.dry_run)
    values: dict[str, Any] = {"shares": _shares(access, shares), "worth": access.amount(worth), "receiver": place}
    if sent.mined is not None:
        number = contract.request_of(sent.receipt)
        made = contract.withdrawal(number)
        values |= {"request": number, "worth": access.amount(made.assets)}
        values["place_in_queue"] = number - contract.number("nextToFinalize") + 1
    access.show(values, sent)


@click.command()
@click.argument("requests", type=click.IntRange(1), nargs=-1, metavar="[REQUEST]...")
@pool_options
@sending_options
def claim(requests: tuple[int, ...], target: PoolTarget, access: ChainAccess) -> None:
    """Pay what is ready: the requests given by number, or all of the account's. Anybody may pay anybody's."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    if len(set(requests)) != len(requests) or len(requests) > _MOST_CLAIMS:
        raise click.UsageError(f"give each request once, at most {_MOST_CLAIMS}")
    if requests:
        found = [contract.withdrawal(number) for number in requests]
        for item in found:
            if REQUEST_STATES[item.state] != "can be claimed":
                raise SsvPoolError(f"claim request {item.number}: {_why_not(contract, item)}")
    else:
        mine = [contract.withdrawal(number) for number in contract.requests_of(sender.address)]
        found = [item for item in mine if REQUEST_STATES[item.state] == "can be claimed"][:_MOST_CLAIMS]
        if not found:
            waiting = sum(REQUEST_STATES[item.state] == "waiting" for item in mine)
            raise SsvPoolError(f"claim: {sender.address} has no request that is ready, and {waiting} that wait")
    call = contract.calls.claim([item.number for item in found])
    sent = contract.send(sender, call, dry_run=access.dry_run)
    access.show(
        {
            "requests": [item.number for item in found],
            "paid": access.amount(sum(item.assets for item in found)),
            "receivers": sorted({item.receiver for item in found}),
        },
        sent,
    )


@click.command()
@click.option("--limit", type=click.IntRange(1, 256), default=16, show_default=True, help="How many at most.")
@pool_options
@sending_options
def finalize(limit: int, target: PoolTarget, access: ChainAccess) -> None:
    """Make requests ready that a report has covered and that there is money for. Anybody may; reports do it too."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    before = contract.number("nextToFinalize")
    if contract.number("requestCount") < before:
        raise SsvPoolError("finalize withdrawals: no request waits, nothing is to be done")
    sent = contract.send(sender, contract.calls.finalize_withdrawals(limit), dry_run=access.dry_run)
    ready = contract.number("nextToFinalize") - before
    access.show({"ready": list(range(before, before + ready))}, sent)


@click.command()
@click.argument("request", type=click.IntRange(1))
@click.argument("receiver", type=Address())
@pool_options
@sending_options
def redirect(request: int, receiver: str, target: PoolTarget, access: ChainAccess) -> None:
    """Let RECEIVER be paid for REQUEST of the account, for one that cannot take ETH."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    found = contract.withdrawal(request)
    if found.owner != sender.address or found.state == REQUEST_STATES.index("paid"):
        raise SsvPoolError(
            f"redirect request {request}: {REQUEST_STATES[found.state]}, of {found.owner}: "
            "only its owner can before it is paid"
        )
    sent = contract.send(sender, contract.calls.redirect_withdrawal(request, receiver), dry_run=access.dry_run)
    access.show({"request": request, "receiver": receiver}, sent)


@click.command()
@click.argument("holder", type=Address(), metavar="ADDRESS")
@pool_options
@chain_options
def balance(holder: str, target: PoolTarget, access: ChainAccess) -> None:
    """Show what ADDRESS has in the pool: shares, what they are worth, requests with their places in the queue."""
    contract = target.open(access)
    shares = contract.number("balanceOf", holder)
    first = contract.number("nextToFinalize")
    found = [contract.withdrawal(number) for number in contract.requests_of(holder)]
    values: dict[str, Any] = {
        "address": holder,
        "shares": _shares(access, shares),
        "worth": access.amount(contract.number("convertToAssets", shares)),
        "worth_when_leaving": access.amount(contract.number("withdrawalValue", shares)),
    }
    if access.as_json:
        values["requests"] = [
            {
                "number": item.number,
                "state": REQUEST_STATES[item.state],
                "assets": str(item.assets),
                "shares": str(item.shares),
                "receiver": item.receiver,
                "place_in_queue": item.number - first + 1 if item.number >= first else None,
            }
            for item in found
        ]
    else:
        for item in found:
            place = f", place {item.number - first + 1} in the queue" if item.number >= first else ""
            values[f"request {item.number}"] = f"{access.amount(item.assets)}, {REQUEST_STATES[item.state]}{place}"
    access.show(values)


def _why_not(contract: "PoolContract", item: "WithdrawalRequest") -> str:
    if item.state == 0:
        return f"there is none, the last is {contract.number('requestCount')}"
    if item.state == REQUEST_STATES.index("paid"):
        return "paid already"
    ahead = item.number - contract.number("nextToFinalize")
    return f"not ready, {ahead} requests are before it: wait for a report, or try `pool finalize`"


def _shares(access: ChainAccess, shares: int) -> str:
    return str(shares) if access.as_json else f"{_ether(shares)} sspETH"


def _ether(wei: int) -> str:
    from ssv_pool.registry.transactions import ether

    return ether(wei)
