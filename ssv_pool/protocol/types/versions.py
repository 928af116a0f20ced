"""The forks of the beacon chain, as consensus data number them."""

import enum

from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError


class DataVersion(enum.IntEnum):
    """A fork of the beacon chain; u64 on the wire. Phase0 is 1, not 0."""

    PHASE0 = 1
    ALTAIR = 2
    BELLATRIX = 3
    CAPELLA = 4
    DENEB = 5
    ELECTRA = 6
    FULU = 7


def check_version(version: int, code: ErrorCode | None = None) -> DataVersion:
    """The fork with this number. Raises ProtocolError with ``code`` when there is none."""
    try:
        return DataVersion(version)
    except ValueError:
        raise ProtocolError(
            f"data version {version}, expected {int(DataVersion.PHASE0)} to {int(DataVersion.FULU)}", code
        ) from None
