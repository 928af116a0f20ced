"""A real beacon client, Lodestar, as our operators' beacon node: what we ask it answers, what we send it takes.

The only test that needs a C++ compiler; it skips, and says why, where Lodestar cannot be installed.
"""

import time

import httpx
import pytest
from outside_client import OutsideClient

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.crypto import bls
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.devnet.lodestar.install import LodestarUnavailableError
from ssv_pool.devnet.lodestar.process import LodestarOptions, start_lodestar
from ssv_pool.protocol.types.presets import MINIMAL

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXTERNAL = range(24)
SLOT_SECONDS = 4
GENESIS_DELAY = 12
LAST_SLOT = 10
"""Long enough that each of the external validators attests, and some of them propose."""

FEES = bytes.fromhex("aa" * 20)


@pytest.fixture(scope="module")
def lodestar(tmp_path_factory):
    try:
        node = start_lodestar(
            LodestarOptions(int(time.time()) + GENESIS_DELAY, SLOT_SECONDS, external=len(EXTERNAL)),
            tmp_path_factory.mktemp("lodestar"),
        )
    except LodestarUnavailableError as error:
        pytest.skip(str(error))
    yield node
    node.stop()


@pytest.fixture(scope="module")
def client(lodestar):
    client = BeaconClient([lodestar.url])
    yield client
    client.close()


def test_what_it_says_of_itself(client, lodestar):
    chain = client.chain()
    assert (chain.genesis_time, chain.slot_seconds, chain.slots_per_epoch, chain.preset) == (
        lodestar.genesis_time,
        SLOT_SECONDS,
        8,
        MINIMAL,
    )
    assert (chain.fork_at(0).name, chain.fork_at(0).version.hex()) == ("capella", "03000001")
    found = client.validators([bls.secret_to_public(interop_secret_key(index)) for index in (0, 5, 63)])
    assert sorted(validator.index for validator in found) == [0, 5, 63]


def test_every_duty_is_accepted(client, lodestar):
    validators = OutsideClient(client, EXTERNAL)
    validators.prepare(FEES)
    for slot in range(1, LAST_SLOT + 1):
        validators.run_slot(slot)
        if slot == 2:
            validators.exit(EXTERNAL[-1])
    assert validators.refused == []
    assert all(validators.counts[kind] for kind in ("blocks", "aggregates", "sync messages", "contributions"))
    # What another operator has posted before comes back as an error of the server; it is none.
    slot = LAST_SLOT
    validators._attest(slot, [duty for duty in validators._plan(1)[0] if duty.slot == slot])
    assert validators.refused == []

    validators._wait(validators.chain.attestation_due(LAST_SLOT + 1))
    blocks = {slot: block_of(lodestar, slot) for slot in range(1, LAST_SLOT + 2)}
    made = {slot: blocks[slot]["body"] for slot in validators.proposed}
    # It takes the graffiti, 32 bytes in hex as the API has it, for text and keeps the text's first 32 bytes.
    text = f"0x{b'outside client'.ljust(32, bytes(1)).hex()}"[:32]
    assert {body["graffiti"] for body in made.values()} == {"0x" + text.encode().hex()}
    assert {body["execution_payload"]["fee_recipient"] for body in made.values()} == {"0x" + FEES.hex()}
    exits = [entry["message"] for block in blocks.values() if block for entry in block["body"]["voluntary_exits"]]
    assert exits == [{"epoch": "0", "validator_index": str(EXTERNAL[-1])}]
    included = votes_in(blocks.values(), validators)
    # The last slots' votes may come later still.
    assert {key for key in validators.voted if key[0] <= LAST_SLOT - 2} <= included
    sync_bits = [
        int.from_bytes(bytes.fromhex(blocks[slot]["body"]["sync_aggregate"]["sync_committee_bits"][2:]), "little")
        for slot in range(3, LAST_SLOT + 1)
        if blocks[slot]
    ]
    assert max(bits.bit_count() for bits in sync_bits) == 32


def block_of(lodestar, slot):
    response = httpx.get(f"{lodestar.url}/eth/v2/beacon/blocks/{slot}", timeout=10, trust_env=False)
    return response.json()["data"]["message"] if response.status_code == 200 else None


def votes_in(blocks, validators):
    """(slot, validator) of the client's votes that are in ``blocks``."""
    duties = {(duty.slot, duty.validator_index): duty for plans in validators._plans.values() for duty in plans[0]}
    found = set()
    for block in filter(None, blocks):
        for entry in block["body"]["attestations"]:
            bits = int.from_bytes(bytes.fromhex(entry["aggregation_bits"][2:]), "little")
            for key, data in validators.voted.items():
                same = (
                    int(entry["data"]["slot"]) == data.slot
                    and int(entry["data"]["index"]) == data.index
                    and entry["data"]["beacon_block_root"] == "0x" + data.beacon_block_root.hex()
                )
                if same and bits >> duties[key].validator_committee_index & 1:
                    found.add(key)
    return found
