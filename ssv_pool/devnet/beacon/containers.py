"""Containers of the Beacon API that the consensus specification does not have.

Blinded blocks, block contents and registrations for builders (https://github.com/ethereum/builder-specs,
https://github.com/ethereum/beacon-APIs).
"""

from dataclasses import dataclass
from typing import Any

from remerkleable.basic import uint64
from remerkleable.byte_arrays import ByteVector
from remerkleable.complex import Container, List

DOMAIN_APPLICATION_BUILDER = bytes.fromhex("00000001")
"""Domain type of what is signed for builders."""

MAX_REGISTRATIONS = 1 << 20
"""Most entries in one list of registrations (the limit of an SSZ list; the body's size is what binds)."""


@dataclass(frozen=True, slots=True)
class ApiContainers:
    """The types for one fork and preset."""

    blinded_block: Any
    """BlindedBeaconBlock: a block with the execution payload's header instead of the payload; the same root."""
    signed_blinded_block: Any
    """SignedBlindedBeaconBlock."""
    block_contents: Any
    """BlockContents: block, cell proofs, blobs (production answers with it from Deneb on)."""
    signed_block_contents: Any
    """SignedBlockContents: signed block, cell proofs, blobs (publishing takes it from Deneb on)."""
    registration: Any
    """ValidatorRegistrationV1: fee_recipient, gas_limit, timestamp, pubkey."""
    signed_registration: Any
    """SignedValidatorRegistrationV1."""


def api_containers(spec: Any) -> ApiContainers:
    """The API's containers for the fork and preset of ``spec`` (Fulu's proofs: one for each cell)."""
    header = {"execution_payload": ("execution_payload_header", spec.ExecutionPayloadHeader)}
    body = _container(
        "BlindedBeaconBlockBody",
        dict(header.get(name, (name, kind)) for name, kind in spec.BeaconBlockBody.fields().items()),
    )
    blinded = _container("BlindedBeaconBlock", dict(spec.BeaconBlock.fields()) | {"body": body})
    signature = spec.BLSSignature
    proofs = List[spec.KZGProof, spec.FIELD_ELEMENTS_PER_EXT_BLOB * spec.MAX_BLOB_COMMITMENTS_PER_BLOCK]
    # The specification's Blob is a class of its own; the API's lists hold plain byte vectors of the same encoding.
    blobs = List[
        ByteVector[spec.BYTES_PER_FIELD_ELEMENT * spec.FIELD_ELEMENTS_PER_BLOB], spec.MAX_BLOB_COMMITMENTS_PER_BLOCK
    ]
    registration = _container(
        "ValidatorRegistrationV1",
        {
            "fee_recipient": spec.ExecutionAddress,
            "gas_limit": uint64,
            "timestamp": uint64,
            "pubkey": spec.BLSPubkey,
        },
    )
    return ApiContainers(
        blinded_block=blinded,
        signed_blinded_block=_container("SignedBlindedBeaconBlock", {"message": blinded, "signature": signature}),
        block_contents=_container("BlockContents", {"block": spec.BeaconBlock, "kzg_proofs": proofs, "blobs": blobs}),
        signed_block_contents=_container(
            "SignedBlockContents", {"signed_block": spec.SignedBeaconBlock, "kzg_proofs": proofs, "blobs": blobs}
        ),
        registration=registration,
        signed_registration=_container(
            "SignedValidatorRegistrationV1", {"message": registration, "signature": signature}
        ),
    )


def _container(name: str, fields: dict[str, Any]) -> Any:
    return type(name, (Container,), {"__annotations__": fields})


def payload_header(spec: Any, payload: Any) -> Any:
    """The ExecutionPayloadHeader of an ExecutionPayload; both have the same hash tree root."""
    lists = {"transactions_root": payload.transactions, "withdrawals_root": payload.withdrawals}
    return spec.ExecutionPayloadHeader(
        **{
            name: lists[name].hash_tree_root() if name in lists else getattr(payload, name)
            for name in spec.ExecutionPayloadHeader.fields()
        }
    )


def blinded(spec: Any, containers: ApiContainers, block: Any) -> Any:
    """The BlindedBeaconBlock of a BeaconBlock; both have the same hash tree root."""
    body_type = containers.blinded_block.fields()["body"]
    body = {
        name: payload_header(spec, block.body.execution_payload)
        if name == "execution_payload_header"
        else getattr(block.body, name)
        for name in body_type.fields()
    }
    return containers.blinded_block(**_fields_but(block, "body"), body=body_type(**body))


def unblinded(spec: Any, block: Any, payload: Any) -> Any:
    """The BeaconBlock of a BlindedBeaconBlock and the payload whose header it holds.

    Raises:
        ValueError: the payload is another one.
    """
    if block.body.execution_payload_header.hash_tree_root() != payload.hash_tree_root():
        raise ValueError("execution payload: not the one that the blinded block's header describes")
    body = {
        name: payload if name == "execution_payload" else getattr(block.body, name)
        for name in spec.BeaconBlockBody.fields()
    }
    return spec.BeaconBlock(**_fields_but(block, "body"), body=spec.BeaconBlockBody(**body))


def _fields_but(view: Any, left_out: str) -> dict[str, Any]:
    return {name: getattr(view, name) for name in type(view).fields() if name != left_out}
