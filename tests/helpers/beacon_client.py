"""A validator client that does every duty of the interop validators over the Beacon API, against any such node."""

import threading
import time
from typing import Any

import httpx
from eth_consensus_specs.fulu import minimal as spec

from ssv_pool.crypto import bls
from ssv_pool.devnet.beacon.codec import from_json, to_json
from ssv_pool.devnet.beacon.containers import DOMAIN_APPLICATION_BUILDER, api_containers
from ssv_pool.devnet.interop import interop_secret_key

SSZ = "application/octet-stream"
VERSION = {"Eth-Consensus-Version": "fulu"}
SLOTS_PER_EPOCH = 8
FORKS = ("GENESIS", "CAPELLA", "FULU")


class ValidatorClient:
    """Runs the first ``validators`` interop validators: proposes, attests, signs for the sync committee, aggregates."""

    def __init__(self, url: str, genesis_time: int, slot_seconds: float, validators: int) -> None:
        self.http = httpx.Client(base_url=url, timeout=20)
        self.genesis_time = genesis_time
        self.slot_seconds = slot_seconds
        self.validators = validators
        self.containers = api_containers(spec)
        config = self.get("/eth/v1/config/spec")
        self.fork_versions = {fork: bytes.fromhex(config[f"{fork}_FORK_VERSION"][2:]) for fork in FORKS}
        self.root = bytes.fromhex(self.get("/eth/v1/beacon/genesis")["genesis_validators_root"][2:])
        self.production_seconds: list[float] = []
        self.blinded = 0
        self.refusals: list[str] = []
        self.actions: dict[int, list[Any]] = {}

    # ---- requests

    def get(self, path: str) -> Any:
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def post(self, path: str, body: Any) -> Any:
        """Post JSON; a refusal is remembered, not raised, as one duty must not keep the next from being done."""
        response = self.http.post(path, json=body, headers=VERSION)
        if response.status_code != 200:
            self.refusals.append(f"{path}: {response.text}")
            return None
        return response.json()["data"] if response.content else None

    # ---- signatures

    def sign(self, validator: int, value: Any, domain_type: Any) -> bytes:
        return self.sign_in(validator, value, spec.compute_domain(domain_type, self.fork_versions["FULU"], self.root))

    def sign_in(self, validator: int, value: Any, domain: Any) -> bytes:
        return bytes(bls.sign(interop_secret_key(validator), bytes(spec.compute_signing_root(value, domain))))

    # ---- once

    def register(self, validators: range, fee_recipient: bytes) -> None:
        """Register validators for builders."""
        domain = spec.compute_domain(spec.DomainType(DOMAIN_APPLICATION_BUILDER), self.fork_versions["GENESIS"])
        signed = []
        for index in validators:
            message = self.containers.registration(
                fee_recipient=fee_recipient,
                gas_limit=30_000_000,
                timestamp=int(time.time()),
                pubkey=bls.secret_to_public(interop_secret_key(index)),
            )
            signature = self.sign_in(index, message, domain)
            signed.append(to_json(self.containers.signed_registration(message=message, signature=signature)))
        self.post("/eth/v1/validator/register_validator", signed)

    def leave(self, validator: int, epoch: int) -> None:
        """Hand in the validator's voluntary exit."""
        message = spec.VoluntaryExit(epoch=epoch, validator_index=validator)
        domain = spec.compute_domain(spec.DOMAIN_VOLUNTARY_EXIT, self.fork_versions["CAPELLA"], self.root)
        signed = spec.SignedVoluntaryExit(message=message, signature=self.sign_in(validator, message, domain))
        self.post("/eth/v1/beacon/pool/voluntary_exits", to_json(signed))

    # ---- the duties of a slot

    def run(self, epochs: int, stop: threading.Event) -> None:
        """Do all duties of ``epochs`` epochs, and the first block after them."""
        indices = [str(index) for index in range(self.validators)]
        for epoch in range(epochs + 1):
            attesters = self.post(f"/eth/v1/validator/duties/attester/{epoch}", indices)
            members = self.post(f"/eth/v1/validator/duties/sync/{epoch}", indices)
            proposers = {}
            for slot in range(epoch * SLOTS_PER_EPOCH, (epoch + 1) * SLOTS_PER_EPOCH):
                if self._until(slot, 0.0, stop):
                    return
                if not proposers:
                    duties = self.get(f"/eth/v1/validator/duties/proposer/{epoch}")
                    proposers = {int(duty["slot"]): int(duty["validator_index"]) for duty in duties}
                for action in self.actions.pop(slot, []):
                    action()
                if slot and proposers[slot] < self.validators:
                    self.propose(slot, proposers[slot], as_ssz=slot % 2 == 0)
                if epoch == epochs:
                    return
                if self._until(slot, 1 / 3, stop):
                    return
                mine = [duty for duty in attesters if int(duty["slot"]) == slot]
                self.attest(slot, mine)
                root = self.sync_messages(slot, [int(member["validator_index"]) for member in members])
                if self._until(slot, 2 / 3, stop):
                    return
                self.aggregate(slot, mine)
                self.contribute(slot, root, members)

    def _until(self, slot: int, part: float, stop: threading.Event) -> bool:
        due = self.genesis_time + (slot + part) * self.slot_seconds
        return stop.wait(max(0.0, due - time.time()))

    def propose(self, slot: int, proposer: int, as_ssz: bool) -> None:
        reveal = self.sign(proposer, spec.Epoch(slot // SLOTS_PER_EPOCH), spec.DOMAIN_RANDAO)
        asked = time.perf_counter()
        response = self.http.get(
            f"/eth/v3/validator/blocks/{slot}?randao_reveal=0x{reveal.hex()}",
            headers={"Accept": SSZ if as_ssz else "application/json"},
        )
        self.production_seconds.append(time.perf_counter() - asked)
        if response.status_code != 200:
            self.refusals.append(f"block {slot}: {response.text}")
            return
        blinded = response.headers["Eth-Execution-Payload-Blinded"] == "true"
        kind = self.containers.blinded_block if blinded else self.containers.block_contents
        view = kind.decode_bytes(response.content) if as_ssz else from_json(kind, response.json()["data"])
        block = view if blinded else view.block
        signature = self.sign(proposer, block, spec.DOMAIN_BEACON_PROPOSER)
        if blinded:
            self.blinded += 1
            signed = self.containers.signed_blinded_block(message=block, signature=signature)
        else:
            signed = self.containers.signed_block_contents(
                signed_block=spec.SignedBeaconBlock(message=block, signature=signature),
                kzg_proofs=view.kzg_proofs,
                blobs=view.blobs,
            )
        path = "/eth/v2/beacon/blinded_blocks" if blinded else "/eth/v2/beacon/blocks"
        if not as_ssz:
            self.post(path, to_json(signed))
            return
        answer = self.http.post(path, content=bytes(signed.encode_bytes()), headers=VERSION | {"Content-Type": SSZ})
        if answer.status_code != 200:
            self.refusals.append(f"{path}: {answer.text}")

    def attest(self, slot: int, duties: list[Any]) -> None:
        if not duties:
            return
        value = self.get(f"/eth/v1/validator/attestation_data?slot={slot}&committee_index=0")
        data = from_json(spec.AttestationData, value)
        votes = [
            spec.SingleAttestation(
                committee_index=int(duty["committee_index"]),
                attester_index=int(duty["validator_index"]),
                data=data,
                signature=self.sign(int(duty["validator_index"]), data, spec.DOMAIN_BEACON_ATTESTER),
            )
            for duty in duties
        ]
        self.post("/eth/v2/beacon/pool/attestations", [to_json(vote) for vote in votes])

    def sync_messages(self, slot: int, members: list[int]) -> bytes:
        root = bytes.fromhex(self.get("/eth/v1/beacon/blocks/head/root")["root"][2:])
        messages = [
            spec.SyncCommitteeMessage(
                slot=slot,
                beacon_block_root=root,
                validator_index=index,
                signature=self.sign(index, spec.Root(root), spec.DOMAIN_SYNC_COMMITTEE),
            )
            for index in members
        ]
        self.post("/eth/v1/beacon/pool/sync_committees", [to_json(message) for message in messages])
        return root

    def aggregate(self, slot: int, duties: list[Any]) -> None:
        """With this preset every attester is an aggregator; one of each committee does it here."""
        value = self.get(f"/eth/v1/validator/attestation_data?slot={slot}&committee_index=0")
        root = from_json(spec.AttestationData, value).hash_tree_root()
        signed = []
        for duty in {duty["committee_index"]: duty for duty in duties}.values():
            index, committee = int(duty["validator_index"]), duty["committee_index"]
            query = f"attestation_data_root=0x{root.hex()}&slot={slot}&committee_index={committee}"
            aggregate = from_json(spec.Attestation, self.get(f"/eth/v2/validator/aggregate_attestation?{query}"))
            message = spec.AggregateAndProof(
                aggregator_index=index,
                aggregate=aggregate,
                selection_proof=self.sign(index, spec.Slot(slot), spec.DOMAIN_SELECTION_PROOF),
            )
            signature = self.sign(index, message, spec.DOMAIN_AGGREGATE_AND_PROOF)
            signed.append(to_json(spec.SignedAggregateAndProof(message=message, signature=signature)))
        if signed:
            self.post("/eth/v2/validator/aggregate_and_proofs", signed)

    def contribute(self, slot: int, root: bytes, members: list[Any]) -> None:
        """One contribution for each subcommittee."""
        size = int(spec.SYNC_COMMITTEE_SIZE) // int(spec.SYNC_COMMITTEE_SUBNET_COUNT)
        aggregators = {
            int(place) // size: int(member["validator_index"])
            for member in members
            for place in member["validator_sync_committee_indices"]
        }
        signed = []
        for subcommittee, index in aggregators.items():
            query = f"slot={slot}&subcommittee_index={subcommittee}&beacon_block_root=0x{root.hex()}"
            value = self.get(f"/eth/v1/validator/sync_committee_contribution?{query}")
            contribution = from_json(spec.SyncCommitteeContribution, value)
            selection = spec.SyncAggregatorSelectionData(slot=slot, subcommittee_index=subcommittee)
            message = spec.ContributionAndProof(
                aggregator_index=index,
                contribution=contribution,
                selection_proof=self.sign(index, selection, spec.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF),
            )
            signature = self.sign(index, message, spec.DOMAIN_CONTRIBUTION_AND_PROOF)
            signed.append(to_json(spec.SignedContributionAndProof(message=message, signature=signature)))
        self.post("/eth/v1/validator/contribution_and_proofs", signed)
