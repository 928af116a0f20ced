"""The protocol's basic types. Each is a plain int or bytes at run time; the type checker keeps them apart."""

from typing import NewType

Slot = NewType("Slot", int)
"""Beacon chain slot number (u64)."""

Epoch = NewType("Epoch", int)
"""Beacon chain epoch number (u64)."""

Round = NewType("Round", int)
"""QBFT round, from 1; 0 means "no round" (u64)."""

OperatorId = NewType("OperatorId", int)
"""Operator number given by the registry contract, from 1; 0 is invalid everywhere (u64)."""

ValidatorIndex = NewType("ValidatorIndex", int)
"""Index of a validator in the beacon state (u64)."""

Root = NewType("Root", bytes)
"""A 32-byte hash."""

PublicKey = NewType("PublicKey", bytes)
"""A compressed BLS12-381 G1 point, 48 bytes: a validator's key or one share's key."""

Signature = NewType("Signature", bytes)
"""A compressed BLS12-381 G2 point, 96 bytes: a whole or partial signature."""

Domain = NewType("Domain", bytes)
"""A beacon chain signature domain, 32 bytes."""

DomainType = NewType("DomainType", bytes)
"""The SSV network and fork a message belongs to, 4 bytes (not the beacon chain's domain type)."""

CommitteeId = NewType("CommitteeId", bytes)
"""sha256 over the ascending operator ids as u32 little-endian, 32 bytes."""

MessageId = NewType("MessageId", bytes)
"""Domain type (4) + runner role (4, little-endian) + duty executor (48), 56 bytes."""

FAR_FUTURE_EPOCH = Epoch(2**64 - 1)
"""An epoch that never comes (spec: FAR_FUTURE_EPOCH)."""
