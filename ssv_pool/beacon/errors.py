"""What goes wrong between this program and a beacon node."""

from collections.abc import Sequence

from ssv_pool.errors import UnavailableError

MAX_DETAIL = 300
"""Characters of a node's own error text that are kept."""


class BeaconError(UnavailableError):
    """A request to a beacon node failed, or its answer is not what the Beacon API says."""

    def __init__(self, endpoint: str, status: int | None, message: str, node: str = "") -> None:
        """Make an error.

        Args:
            endpoint: method and path.
            status: HTTP status of the answer; None when none came.
            message: what is wrong, one line.
            node: scheme, host and port of the node; empty where it is not known.
        """
        self.endpoint = endpoint
        self.status = status
        self.node = node
        self.message = " ".join(message.split())[:MAX_DETAIL]
        answer = "no answer" if status is None else f"status {status}"
        name = f"beacon node {node}" if node else "beacon node"
        super().__init__(f"{name}: {endpoint}: {answer}: {self.message}")

    def at(self, node: str) -> "BeaconError":
        """The same error, naming the node that it came from."""
        return BeaconError(self.endpoint, self.status, self.message, node)

    def beside(self, others: Sequence[str]) -> "BeaconError":
        """The same error, with what other nodes said to the same request in few words."""
        if not others:
            return self
        return BeaconError(self.endpoint, self.status, f"{self.message}; also {', '.join(others)}", self.node)
