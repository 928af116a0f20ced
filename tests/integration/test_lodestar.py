"""A real beacon client, Lodestar, as our operators' beacon node: what we ask it answers, what we send it takes.

The only test that needs a C++ compiler; it skips, and says why, where Lodestar cannot be installed.
"""

import time
from threading import Event

import httpx
import pytest

from ssv_pool.beacon.answers import Refusal
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.crypto import bls
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.devnet.lodestar.install import LodestarUnavailableError
from ssv_pool.devnet.lodestar.process import LodestarOptions, start_lodestar
from ssv_pool.protocol.events import SignedAttestation
from ssv_pool.protocol.types import DOMAIN_BEACON_ATTESTER, compute_domain, signing_root
from ssv_pool.protocol.types.presets import MINIMAL

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXTERNAL = 16
SLOT_SECONDS = 4
GENESIS_DELAY = 12


@pytest.fixture(scope="module")
def lodestar(tmp_path_factory):
    try:
        node = start_lodestar(
            LodestarOptions(int(time.time()) + GENESIS_DELAY, SLOT_SECONDS, external=EXTERNAL),
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


def public_key(index):
    return bls.secret_to_public(interop_secret_key(index))


def test_what_it_says_of_itself(client, lodestar):
    chain = client.chain()
    assert (chain.genesis_time, chain.slot_seconds, chain.slots_per_epoch, chain.preset) == (
        lodestar.genesis_time,
        SLOT_SECONDS,
        8,
        MINIMAL,
    )
    assert (chain.fork_at(0).name, chain.fork_at(0).version.hex()) == ("capella", "03000001")
    found = client.validators([public_key(index) for index in (0, 5, 63)])
    assert sorted(validator.index for validator in found) == [0, 5, 63]


def test_attestations_of_external_validators_are_in_blocks(client, lodestar):
    chain = client.chain()
    duties = {duty.slot: [] for duty in client.attester_duties(0, range(EXTERNAL)).duties}
    for duty in client.attester_duties(0, range(EXTERNAL)).duties:
        duties[duty.slot].append(duty)
    slot = min(slot for slot in duties if slot > 0)
    Event().wait(max(0.0, chain.attestation_due(slot) - time.time()))
    assert client.syncing().problem is None
    attestations = []
    for duty in duties[slot]:
        data = client.attestation_data(slot, duty.committee_index)
        domain = compute_domain(DOMAIN_BEACON_ATTESTER, chain.fork_at(0).version, chain.genesis_validators_root)
        signature = bls.sign(interop_secret_key(duty.validator_index), signing_root(data.hash_tree_root(), domain))
        attestations.append(
            SignedAttestation(
                validator_index=duty.validator_index,
                committee_index=duty.committee_index,
                committee_length=duty.committee_length,
                validator_committee_index=duty.validator_committee_index,
                data=data,
                signature=signature,
            )
        )
    assert client.submit_attestations("capella", attestations) == []
    # Another operator has been quicker: the whole batch comes back as an error of the server, in its own words.
    with pytest.raises(BeaconError) as raised:
        client.submit_attestations("capella", attestations)
    assert (raised.value.status, Refusal(0, raised.value.message).already_known) == (500, True)
    assert included(lodestar, attestations, last_slot=slot + 4, chain=chain) == {
        attestation.validator_index for attestation in attestations
    }


def included(lodestar, attestations, last_slot, chain):
    """Validators whose attestation is in a block up to ``last_slot``."""
    found = set()
    with httpx.Client(base_url=lodestar.url, timeout=10, trust_env=False) as http:
        for slot in range(attestations[0].data.slot + 1, last_slot + 1):
            Event().wait(max(0.0, chain.attestation_due(slot) - time.time()))
            response = http.get(f"/eth/v2/beacon/blocks/{slot}")
            if response.status_code == 404:
                continue
            for entry in response.json()["data"]["message"]["body"]["attestations"]:
                bits = int.from_bytes(bytes.fromhex(entry["aggregation_bits"][2:]), "little")
                found |= {
                    attestation.validator_index
                    for attestation in attestations
                    if entry["data"]["beacon_block_root"] == "0x" + attestation.data.beacon_block_root.hex()
                    and int(entry["data"]["index"]) == attestation.committee_index
                    and int(entry["data"]["slot"]) == attestation.data.slot
                    and bits >> attestation.validator_committee_index & 1
                }
            if len(found) == len(attestations):
                break
    return found
