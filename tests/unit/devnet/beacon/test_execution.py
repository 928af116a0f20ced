import asyncio
from dataclasses import replace

import pytest
from beacon_http import request
from beacon_stepper import GENESIS_TIME, SteppedNode
from execution_chain import CHAIN_ID, CONTRACT, ExecutionChain, deposit_data
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.execution import (
    LAG_SLOTS,
    DepositLogError,
    ExecutionSchedule,
    Withdrawal,
    read_deposit,
)
from ssv_pool.devnet.beacon.execution_link import ExecutionError, ExecutionLink, payment
from ssv_pool.devnet.beacon.genesis import development_spec
from ssv_pool.devnet.beacon.node import BeaconNode, NodeOptions

GWEI = 10**9
STAKE = 32 * GWEI
SECRET = 0x5555
RECEIVER = bytes.fromhex("cafe" * 10)
CREDENTIALS = b"\x01" + bytes(11) + RECEIVER
SHORT = {"MIN_VALIDATOR_WITHDRAWABILITY_DELAY": 1, "MAX_SEED_LOOKAHEAD": 1}
SLOT_SECONDS = 2
STARTED = GENESIS_TIME - 4


class Life:
    """A beacon node and its execution chain, second by second."""

    def __init__(self) -> None:
        self.chain = ExecutionChain()
        self.schedule = ExecutionSchedule(self.chain.number, STARTED)
        self.stepped = SteppedNode(overrides=SHORT, deposit_contract=CONTRACT, execution=self.schedule)
        self.link = ExecutionLink(self.stepped.node, "")

    def run(self, slots: range) -> None:
        for slot in slots:
            self.stepped.run_slot(slot)
            asyncio.run(self.link.step(self.chain))

    def status(self) -> str:
        answer = request(self.stepped, "GET", f"/eth/v1/beacon/states/head/validators/0x{self.pubkey.hex()}")
        return answer.json["data"]["status"] if answer.status == 200 else "unknown"

    @property
    def pubkey(self) -> bytes:
        return bytes(self.stepped.node.spec.bls.SkToPk(SECRET))

    def deposit(self, secret: int = SECRET, amount: int = STAKE) -> None:
        """A deposit for the validator, signed with ``secret``."""
        spec = self.stepped.node.spec
        message = spec.DepositMessage(pubkey=self.pubkey, withdrawal_credentials=CREDENTIALS, amount=amount)
        root = spec.compute_signing_root(message, spec.compute_domain(spec.DOMAIN_DEPOSIT))
        self.chain.deposit(self.pubkey, CREDENTIALS, amount, bytes(spec.bls.Sign(secret, root)))

    def exit(self, index: int) -> int:
        """Ask for the validator's exit; the answer's status."""
        spec, state = self.stepped.node.spec, self.stepped.node.chain.current_state()
        message = spec.VoluntaryExit(epoch=spec.get_current_epoch(state), validator_index=index)
        domain = spec.compute_domain(
            spec.DOMAIN_VOLUNTARY_EXIT, spec.config.CAPELLA_FORK_VERSION, state.genesis_validators_root
        )
        signature = spec.bls.Sign(SECRET, spec.compute_signing_root(message, domain))
        signed = spec.SignedVoluntaryExit(message=message, signature=signature)
        return request(self.stepped, "POST", "/eth/v1/beacon/pool/voluntary_exits", to_json(signed)).status

    def until(self, status: str, slot: int, epochs: int) -> int:
        """Run until the validator has this status; the slot after that."""
        for start in range(slot, slot + 8 * epochs):
            if self.status() == status:
                return start
            self.run(range(start, start + 1))
        raise AssertionError(f"still {self.status()} in slot {slot + 8 * epochs}, expected {status}")


def test_a_validators_whole_life_in_twenty_epochs():
    life = Life()
    node = life.stepped.node
    life.run(range(3))
    assert life.status() == "unknown"
    life.deposit()
    life.run(range(3, 5))
    pending = request(life.stepped, "GET", "/eth/v1/beacon/states/head/pending_deposits").json
    assert [(entry["pubkey"], entry["amount"]) for entry in pending["data"]] == [("0x" + life.pubkey.hex(), str(STAKE))]
    assert pending["version"] == "fulu"
    slots = {}
    slot = slots["known"] = life.until("pending_initialized", 5, 5)
    slot = slots["active"] = life.until("active_ongoing", slot, 7)
    assert request(life.stepped, "GET", "/eth/v1/beacon/states/head/pending_deposits").json["data"] == []
    assert life.exit(64) == 200
    slot = slots["exited"] = life.until("exited_unslashed", slot, 4)
    slot = slots["withdrawn"] = life.until("withdrawal_done", slot, 4)
    life.run(range(slot, slot + LAG_SLOTS + 1))
    assert slot <= 20 * 8, slots
    # What the chain withdrew is what was paid, to the wei; the stake came back less what it missed.
    withdrawn = {}
    for item in node.ledger.withdrawals(bytes(node.chain.history.at_or_before(slot).root), 0):
        withdrawn[item.address] = withdrawn.get(item.address, 0) + item.amount * GWEI
    assert STAKE * GWEI * 99 // 100 < withdrawn[RECEIVER] < STAKE * GWEI
    number = life.schedule.block_of(slot, GENESIS_TIME, SLOT_SECONDS)
    assert life.chain.paid_at[number] == withdrawn


def test_a_payload_names_the_block_that_holds_its_chains_withdrawals_and_no_others():
    life = Life()
    node = life.stepped.node
    life.run(range(2 * 8 + LAG_SLOTS + 1))
    for slot in range(1, 2 * 8):
        entry = node.chain.history.at(slot)
        payload = node.spec.SignedBeaconBlock.decode_bytes(entry.signed_block).message.body.execution_payload
        sums = {}
        for item in node.ledger.withdrawals(entry.root, 0):
            sums[item.address] = sums.get(item.address, 0) + item.amount * GWEI
        assert life.chain.paid_at[int(payload.block_number)] == sums
    assert sums  # validators earn from the start, so there were withdrawals to look for


def test_a_deposit_with_a_bad_signature_makes_no_validator():
    life = Life()
    life.deposit(secret=SECRET + 1)
    life.run(range(5 * 8))
    assert life.status() == "unknown"
    assert request(life.stepped, "GET", "/eth/v1/beacon/states/head/pending_deposits").json["data"] == []


def test_each_deposit_gets_into_the_chain_once():
    life = Life()
    life.run(range(2))
    life.deposit(amount=GWEI)
    life.deposit(amount=2 * GWEI)
    life.run(range(2, 6))
    life.deposit(amount=3 * GWEI)
    life.run(range(6, 9))
    state = life.stepped.node.chain.current_state()
    assert [int(entry.amount) for entry in state.pending_deposits] == [GWEI, 2 * GWEI, 3 * GWEI]


def test_a_node_that_starts_again_pays_nothing_twice():
    life = Life()
    life.run(range(12))
    assert life.chain.nonce > 0
    life.link = ExecutionLink(life.stepped.node, "")
    life.deposit(amount=GWEI)
    life.run(range(12, 20))
    node = life.stepped.node
    slot = life.schedule.slot_of(life.chain.number, GENESIS_TIME, SLOT_SECONDS)
    paid = node.ledger.withdrawals(node.chain.history.at_or_before(slot).root, 0)
    assert [item.index for item in paid] == list(range(life.chain.nonce))
    assert sum(life.chain.balances.values()) == sum(item.amount for item in paid) * GWEI
    assert node.ledger.count == 1


@pytest.mark.parametrize("method", ["eth_sendRawTransaction", "evm_mine", "eth_getLogs"])
def test_what_fails_halfway_is_done_the_next_time_and_once(method):
    life = Life()
    life.run(range(5))
    life.deposit(amount=GWEI)
    life.stepped.run_slot(5)
    life.chain.refusals.append(method)
    with pytest.raises(ExecutionError, match="not now"):
        asyncio.run(life.link.step(life.chain))
    life.run(range(6, 10))
    node = life.stepped.node
    slot = life.schedule.slot_of(life.chain.number, GENESIS_TIME, SLOT_SECONDS)
    paid = node.ledger.withdrawals(node.chain.history.at_or_before(slot).root, 0)
    assert life.chain.number == life.schedule.due(node.clock.now())
    assert sum(life.chain.balances.values()) == sum(item.amount for item in paid) * GWEI > 0
    assert node.ledger.count == 1


def test_a_node_behind_the_others_mines_nothing():
    life = Life()
    life.stepped.run_slot(0)
    life.stepped.node.distance = lambda: 3
    asyncio.run(life.link.step(life.chain))
    assert life.chain.number == 5


def test_payments_of_one_withdrawal_are_one_transaction():
    withdrawal = Withdrawal(7, 64, RECEIVER, STAKE)
    assert payment(CHAIN_ID, withdrawal) == payment(CHAIN_ID, withdrawal)
    assert payment(CHAIN_ID, withdrawal) != payment(CHAIN_ID, replace(withdrawal, index=8))


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(1, 12), st.integers(0, 10**4))
def test_the_schedule_is_monotone_and_its_inverse_agrees(number, lead, slot_seconds, slot):
    schedule = ExecutionSchedule(number, GENESIS_TIME - lead)
    block = schedule.block_of(slot, GENESIS_TIME, slot_seconds)
    assert schedule.slot_of(block, GENESIS_TIME, slot_seconds) == slot
    assert schedule.slot_of(block - 1, GENESIS_TIME, slot_seconds) == slot - 1
    assert schedule.block_of(slot + 1, GENESIS_TIME, slot_seconds) == block + slot_seconds


def test_a_deposit_log_is_read_as_the_contract_writes_it():
    deposit = read_deposit(deposit_data(b"\xaa" * 48, CREDENTIALS, STAKE, b"\xbb" * 96, 258))
    assert (deposit.pubkey, deposit.withdrawal_credentials) == (b"\xaa" * 48, CREDENTIALS)
    assert (deposit.amount, deposit.signature, deposit.index) == (STAKE, b"\xbb" * 96, 258)


@pytest.mark.parametrize("place", [0, 31, 63, 191, 287, 351, 415, 543])
def test_a_log_laid_out_otherwise_is_refused(place):
    data = bytearray(deposit_data(b"\xaa" * 48, CREDENTIALS, STAKE, b"\xbb" * 96, 0))
    data[place] ^= 1
    with pytest.raises(DepositLogError, match="deposit log: "):
        read_deposit(bytes(data))
    with pytest.raises(DepositLogError, match="found 575 bytes, expected 576"):
        read_deposit(bytes(data[:-1]))


def test_a_gap_between_deposits_is_refused():
    life = Life()
    deposit = read_deposit(deposit_data(b"\xaa" * 48, CREDENTIALS, STAKE, b"\xbb" * 96, 1))
    with pytest.raises(DepositLogError, match="deposit 1: came after 0 deposits"):
        life.stepped.node.ledger.add([deposit])


def test_overrides_are_in_force_and_told():
    life = Life()
    spec = request(life.stepped, "GET", "/eth/v1/config/spec").json["data"]
    assert {name: spec[name] for name in SHORT} == {name: str(value) for name, value in SHORT.items()}
    contract = request(life.stepped, "GET", "/eth/v1/config/deposit_contract").json["data"]
    assert contract["address"] == "0x" + CONTRACT.hex()
    with pytest.raises(ValueError, match="--config NO_SUCH: expected a number of the configuration"):
        development_spec(2000, GENESIS_TIME, {"NO_SUCH": 1})


def test_a_link_needs_a_schedule():
    node = BeaconNode(NodeOptions(GENESIS_TIME))
    with pytest.raises(ValueError, match="expected --execution-start and --deposit-contract"):
        ExecutionLink(node, "")
    node.close()
