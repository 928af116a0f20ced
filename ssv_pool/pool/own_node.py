"""What the own node makes of the pool's registrations: from the store that the registry's sync fills, and its API."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from ssv_pool import bounded_json
from ssv_pool.pool.view import Share
from ssv_pool.protocol.types.primitives import PublicKey
from ssv_pool.store.database import Database
from ssv_pool.store.pool import applied_block, registered_to

STATUS_PATH: Final = "/v1/node/status"

_MAX_BYTES: Final = 16 * 2**20


class OwnNode:
    """Asks store and node API of this operator.

    Args:
        database: the store.
        url: base URL of the own node API.
        owner: the pool's address, 20 bytes.
        timeout: seconds that the node may take to answer.
        transport: for tests.
    """

    def __init__(
        self,
        database: Database,
        url: str,
        owner: bytes,
        timeout: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._database = database
        self._url = url
        self._owner = owner
        self._http = httpx.Client(timeout=timeout, transport=transport, trust_env=False)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def shares(self, blocks: Mapping[bytes, int]) -> Mapping[bytes, Share]:
        """What the own node makes of keys.

        A registration that the sync has passed without taking it is malformed. A share is good when the node has taken
        the registration over and does not say that it cannot use it.

        Args:
            blocks: public keys, 48 bytes each, and the blocks of their registration.

        Raises:
            UnavailableError: the store does not answer.
        """
        with self._database.read() as session:
            applied = applied_block(session)
            known = registered_to(session, self._owner, [PublicKey(key) for key in blocks])
        taken, bad = self._node_status()
        found = {}
        for key, block in blocks.items():
            if applied < block:
                found[key] = Share.UNKNOWN
            elif key not in known or key in bad:
                found[key] = Share.REFUSED
            else:
                found[key] = Share.ACCEPTED if taken >= block else Share.UNKNOWN
        return found

    def _node_status(self) -> tuple[int, frozenset[bytes]]:
        """The block that the node's view is of, and keys whose own share cannot be used; (-1, none): no answer."""
        try:
            response = self._http.get(f"{self._url}{STATUS_PATH}")
            if response.status_code != 200 or len(response.content) > _MAX_BYTES:
                return -1, frozenset()
            status: Any = bounded_json.loads(response.content)
            bad = frozenset(bytes.fromhex(key.removeprefix("0x")) for key in status["bad_shares"])
            return int(status["registry"]["block"]), bad
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return -1, frozenset()
