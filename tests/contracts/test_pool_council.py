"""Who decides in the staking pool: signatures of a quorum, announced changes, the pause, the owner."""

from typing import Any

import boa
import pytest
from contract_vm import ContractVM, event, refusal
from eth_account import Account
from eth_utils.crypto import keccak
from pool_vm import (
    ANNOUNCE_MEMBERS,
    ANNOUNCE_PARAMETERS,
    CANCEL,
    DAY,
    ETHER,
    EXECUTE_MEMBERS,
    EXECUTE_PARAMETERS,
    MEMBERS,
    PARAMETERS,
    PAUSE,
    REPORT,
    STAKE,
    UNPAUSE,
    Limits,
    PoolVM,
)
from registry_vm import ZERO_ADDRESS

pytestmark = pytest.mark.contracts

FORTNIGHT, WEEK = 14 * DAY, 7 * DAY


@pytest.fixture
def pool() -> PoolVM:
    return PoolVM()


@pytest.fixture
def stranger(pool: PoolVM) -> str:
    return pool.account()


def not_owner(caller: str, owner: str) -> bytes:
    return refusal("CallerNotOwnerWithData(address,address)", caller, owner)


# What members sign


def test_domain_is_that_of_eip_712(pool: PoolVM) -> None:
    hashes = [
        keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
        keccak(text="SSV Staking Pool"),
        keccak(text="1"),
        boa.env.evm.chain.chain_id.to_bytes(32, "big"),
        bytes(12) + bytes.fromhex(pool.address[2:]),
    ]
    assert pool.call("DOMAIN_SEPARATOR()", sender=ZERO_ADDRESS) == keccak(b"".join(hashes))


def send(pool: PoolVM, approvals: list[bytes]) -> bytes:
    """A report with these signatures, which is refused."""
    return pool.refused(REPORT, pool.next_report(0).values, approvals, sender=pool.provider)


def test_a_quorum_in_any_number_above_is_enough(pool: PoolVM) -> None:
    for signers in ((0, 1, 2), (1, 2, 3), (0, 1, 2, 3)):
        boa.env.time_travel(blocks=1)
        pool.send(pool.next_report(0), signers)


def test_too_few_signatures(pool: PoolVM) -> None:
    values = pool.next_report(0).values
    for signers in ((), (0,), (1, 3)):
        approvals = pool.approvals("Report", values, signers)
        assert send(pool, approvals) == refusal("QuorumMissing(uint256,uint256)", len(signers), 3)


def test_a_signature_counts_once(pool: PoolVM) -> None:
    approvals = pool.approvals("Report", pool.next_report(0).values, (0, 1, 1))
    assert send(pool, approvals) == refusal("ApprovalsUnsorted()")
    approvals = pool.approvals("Report", pool.next_report(0).values, (0, 2, 1))
    assert send(pool, approvals) == refusal("ApprovalsUnsorted()")


def test_the_other_form_of_a_signature_does_not_count_again(pool: PoolVM) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    first, second = pool.approvals("Report", pool.next_report(0).values, (0, 1))
    mirrored = (
        second[:32] + (order - int.from_bytes(second[32:64], "big")).to_bytes(32, "big") + bytes([55 - second[64]])
    )
    assert send(pool, [first, second, mirrored]) == refusal("ApprovalsUnsorted()")


def test_a_stranger_does_not_count(pool: PoolVM) -> None:
    values = pool.next_report(0).values
    signers = sorted((0, 1, 2, 4), key=lambda number: MEMBERS[number].address)
    refused = send(pool, pool.approvals("Report", values, signers))
    assert refused == refusal("ApprovalOfStranger(address)", MEMBERS[4].address)


@pytest.mark.parametrize(
    "damaged",
    [b"", bytes(65), bytes(64) + b"\x1b", b"\xff" * 65, b"\x01" * 64],
    ids=["empty", "zero", "zero with v", "ones", "short"],
)
def test_damaged_signatures_are_nobodys(pool: PoolVM, damaged: bytes) -> None:
    approvals = pool.approvals("Report", pool.next_report(0).values)
    assert send(pool, [damaged, *approvals]) == refusal("ApprovalOfStranger(address)", ZERO_ADDRESS)


def test_a_signature_is_for_one_pool_and_one_message(pool: PoolVM) -> None:
    other = PoolVM()
    values = pool.next_report(0).values
    for approvals in (other.approvals("Report", values), pool.approvals("Report", (*values[:-1], 1))):
        assert send(pool, approvals)[:4] == refusal("ApprovalOfStranger(address)", ZERO_ADDRESS)[:4]


def test_fields_longer_than_a_signature_are_not_taken(pool: PoolVM) -> None:
    assert send(pool, [bytes(66)]) == b""
    assert send(pool, [bytes(65)] * 14) == b""


# The constructor


def deploy(members: list[str], quorum: int, parameters: Any = None) -> ContractVM:
    pool = PoolVM()
    return ContractVM(
        "StakingPool",
        pool.registry.contract.address,
        pool.deposits.contract.address,
        members,
        quorum,
        parameters or Limits().encoded(pool.treasury),
    )


def test_members_are_checked_when_deployed() -> None:
    names = [account.address for account in MEMBERS]
    for size, quorum in ((1, 1), (2, 2), (3, 3), (4, 3), (5, 4)):
        assert deploy(names[:size], quorum).call("quorum()", sender=ZERO_ADDRESS) == quorum.to_bytes(32, "big")
    wrong = [([], 0), (names[:1], 0), (names[:1], 2), (names[:3], 2), (names[:4], 5), (names[1::-1], 2)]
    wrong += [([names[0], names[0]], 2), ([ZERO_ADDRESS, names[0]], 2)]
    for members, quorum in wrong:
        with pytest.raises(boa.BoaError):
            deploy(members, quorum)


def test_a_pool_needs_contracts() -> None:
    pool = PoolVM()
    registry, deposits, nobody = pool.registry.contract.address, pool.deposits.contract.address, pool.account()
    for first, second in ((nobody, deposits), (registry, nobody), (ZERO_ADDRESS, deposits)):
        with pytest.raises(boa.BoaError):
            ContractVM("StakingPool", first, second, pool.members, 3, Limits().encoded(pool.treasury))


# Announced changes


def test_parameters_change_two_weeks_after_they_were_announced(pool: PoolVM, stranger: str) -> None:
    after = Limits(operator_fee=700, treasury_fee=0, yearly_gain=900, loss=800, budget=300).encoded(stranger)
    assert pool.refused(ANNOUNCE_PARAMETERS, after, sender=stranger) == not_owner(stranger, pool.governor)
    pool.call(ANNOUNCE_PARAMETERS, after, sender=pool.governor)
    when = boa.env.timestamp + FORTNIGHT
    assert pool.logs == [event(f"ParametersAnnounced({PARAMETERS},uint256)", after, when, indexed=0)]
    (announced,) = pool.read("announcement()", [f"(uint8,uint256,{PARAMETERS},address[],uint8)"])
    assert announced == (1, when, (after[0].lower(), *after[1:]), (), 0)
    boa.env.time_travel(seconds=FORTNIGHT - 1)
    assert pool.refused(EXECUTE_PARAMETERS, sender=pool.governor) == refusal("TooEarly(uint256)", when)
    boa.env.time_travel(seconds=1)
    assert pool.refused(EXECUTE_PARAMETERS, sender=stranger) == not_owner(stranger, pool.governor)
    assert pool.refused(EXECUTE_MEMBERS, sender=pool.governor) == refusal("NotAnnounced()")
    pool.call(EXECUTE_PARAMETERS, sender=pool.governor)
    assert pool.logs == [event(f"ParametersChanged({PARAMETERS})", after, indexed=0)]
    assert pool.read("parameters()", [PARAMETERS]) == ((after[0].lower(), *after[1:]),)
    assert pool.refused(EXECUTE_PARAMETERS, sender=pool.governor) == refusal("NotAnnounced()")


def test_parameters_have_bounds(pool: PoolVM, stranger: str) -> None:
    good = Limits(operator_fee=1_500, treasury_fee=500, yearly_gain=10_000, loss=5_000, budget=1_000).encoded(stranger)
    pool.call(ANNOUNCE_PARAMETERS, good, sender=pool.governor)
    for place, value in (
        (0, ZERO_ADDRESS),
        (0, pool.address),
        (1, 1_501),
        (2, 501),
        (3, 10_001),
        (4, 5_001),
        (5, 1_001),
    ):
        wrong = (*good[:place], value, *good[place + 1 :])
        assert pool.refused(ANNOUNCE_PARAMETERS, wrong, sender=pool.governor) == refusal("InvalidParameters()")


def test_members_change_two_weeks_after_they_were_announced(pool: PoolVM, stranger: str) -> None:
    members = [account.address for account in MEMBERS[1:]]
    assert pool.refused(ANNOUNCE_MEMBERS, members, 3, sender=stranger) == not_owner(stranger, pool.governor)
    assert pool.refused(ANNOUNCE_MEMBERS, members, 2, sender=pool.governor) == refusal("InvalidMembers()")
    assert pool.refused(ANNOUNCE_MEMBERS, [], 0, sender=pool.governor) == refusal("InvalidMembers()")
    refused = pool.refused(ANNOUNCE_MEMBERS, [pool.address], 1, sender=pool.governor)
    assert refused == refusal("InvalidMembers()")
    pool.call(ANNOUNCE_MEMBERS, members, 3, sender=pool.governor)
    when = boa.env.timestamp + FORTNIGHT
    assert pool.logs == [event("MembersAnnounced(address[],uint8,uint256)", members, 3, when, indexed=0)]
    assert pool.refused(EXECUTE_MEMBERS, sender=pool.governor) == refusal("TooEarly(uint256)", when)
    pool.send(pool.next_report(0), (0, 1, 2))
    boa.env.time_travel(seconds=FORTNIGHT)
    pool.call(EXECUTE_MEMBERS, sender=pool.governor)
    assert pool.logs == [event("MembersChanged(address[],uint8)", members, 3, indexed=0)]
    assert pool.read("members()", ["address[]"]) == (tuple(member.lower() for member in members),)
    approvals = pool.approvals("Report", pool.next_report(0).values, (0, 1, 2))
    assert send(pool, approvals) == refusal("ApprovalOfStranger(address)", MEMBERS[0].address)
    pool.send(pool.next_report(0), (2, 3, 4))


def test_a_new_announcement_begins_again(pool: PoolVM, stranger: str) -> None:
    pool.call(ANNOUNCE_PARAMETERS, Limits().encoded(stranger), sender=pool.governor)
    boa.env.time_travel(seconds=FORTNIGHT)
    pool.call(ANNOUNCE_MEMBERS, pool.members[:1], 1, sender=pool.governor)
    assert pool.refused(EXECUTE_PARAMETERS, sender=pool.governor) == refusal("NotAnnounced()")
    refused = pool.refused(EXECUTE_MEMBERS, sender=pool.governor)
    assert refused == refusal("TooEarly(uint256)", boa.env.timestamp + FORTNIGHT)


def test_an_announcement_can_be_taken_back(pool: PoolVM, stranger: str) -> None:
    assert pool.refused(CANCEL, sender=pool.governor) == refusal("NotAnnounced()")
    pool.call(ANNOUNCE_PARAMETERS, Limits().encoded(stranger), sender=pool.governor)
    assert pool.refused(CANCEL, sender=stranger) == not_owner(stranger, pool.governor)
    pool.call(CANCEL, sender=pool.governor)
    assert pool.logs == [event("AnnouncementCancelled(uint8)", 1, indexed=0)]
    boa.env.time_travel(seconds=FORTNIGHT)
    assert pool.refused(EXECUTE_PARAMETERS, sender=pool.governor) == refusal("NotAnnounced()")


def test_ownership_moves_in_two_steps(pool: PoolVM, stranger: str) -> None:
    pool.call("transferOwnership(address)", stranger, sender=pool.governor)
    assert pool.read("owner()", ["address"]) == (pool.governor.lower(),)
    pool.call("acceptOwnership()", sender=stranger)
    assert pool.refused(CANCEL, sender=pool.governor) == not_owner(pool.governor, stranger)


# Pause


def test_a_pause_stops_what_takes_money_and_ends_by_itself(pool: PoolVM, stranger: str) -> None:
    assert pool.refused(PAUSE, "?", sender=stranger) == refusal("NotMember(address)", stranger)
    member = pool.members[2]
    pool.call(PAUSE, "keys leaked", sender=member)
    since, until = boa.env.timestamp, boa.env.timestamp + WEEK
    assert pool.logs == [event("Paused(address,uint256,string)", member, until, "keys leaked", indexed=1)]
    assert pool.number("paused()") == 1
    state = pool.read("pauseState()", ["address", "uint256", "uint256", "string"])
    assert state == (member.lower(), since, until, "keys leaked")
    expected = refusal("PoolPaused(uint256)", until)
    assert pool.refused(STAKE, sender=stranger, value=ETHER) == expected
    assert send(pool, pool.approvals("Report", pool.next_report(0).values)) == expected
    boa.env.time_travel(seconds=WEEK - 1)
    assert pool.refused(STAKE, sender=stranger, value=ETHER) == expected
    boa.env.time_travel(seconds=1)
    assert pool.number("paused()") == 0
    pool.stake(stranger, ETHER)


def test_nobody_can_pause_for_good(pool: PoolVM) -> None:
    pool.call(PAUSE, "a", sender=pool.governor)
    again = boa.env.timestamp + 2 * WEEK
    for wait in (0, WEEK, WEEK - 1):
        boa.env.time_travel(seconds=wait) if wait else None
        assert pool.refused(PAUSE, "b", sender=pool.members[0]) == refusal("PauseTooSoon(uint256)", again)
    boa.env.time_travel(seconds=1)
    pool.call(PAUSE, "b", sender=pool.members[0])


def test_the_owner_can_end_a_pause(pool: PoolVM, stranger: str) -> None:
    assert pool.refused(UNPAUSE, sender=pool.governor) == refusal("NotPaused()")
    pool.call(PAUSE, "", sender=pool.members[1])
    assert pool.refused(UNPAUSE, sender=pool.members[1]) == not_owner(pool.members[1], pool.governor)
    pool.call(UNPAUSE, sender=pool.governor)
    assert pool.logs == [event("Unpaused(address)", pool.governor, indexed=1)]
    pool.stake(stranger, ETHER)
    refused = pool.refused(PAUSE, "", sender=pool.members[1])
    assert refused == refusal("PauseTooSoon(uint256)", boa.env.timestamp + WEEK)


def test_a_reason_longer_than_its_bound_is_not_taken(pool: PoolVM) -> None:
    assert pool.refused(PAUSE, "x" * 97, sender=pool.members[0]) == b""
    pool.call(PAUSE, "x" * 96, sender=pool.members[0])


def test_owner_and_members_accounts_are_what_the_tests_take_them_for() -> None:
    assert [Account.from_key(member.key).address for member in MEMBERS] == sorted(member.address for member in MEMBERS)
