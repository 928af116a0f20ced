"""The operator's store: registry, duties and journal in SQLite or PostgreSQL. Workers write it, the node reads it."""

from ssv_pool.store.database import Database
from ssv_pool.store.records import OperatorRecord, OwnShare, RegistrySnapshot, ValidatorRecord

__all__ = ["Database", "OperatorRecord", "OwnShare", "RegistrySnapshot", "ValidatorRecord"]
