"""Time the codecs of the hot path: a signed prepare, and partial signatures of a committee with many validators.

Each figure is the best of several repeats: the machine's noise only ever adds.
"""

import argparse
import json
import timeit
from collections.abc import Callable

from ssv_pool.protocol.types import (
    DomainType,
    OperatorId,
    PartialSignatureMessage,
    PartialSignatureMessages,
    QBFTMessage,
    Root,
    Round,
    RunnerRole,
    Signature,
    SignedSSVMessage,
    Slot,
    SSVMessage,
    ValidatorIndex,
    committee_id,
    committee_message_id,
)

OPERATORS = tuple(map(OperatorId, (1, 2, 3, 4)))
MESSAGE_ID = committee_message_id(DomainType(bytes(4)), RunnerRole.COMMITTEE, committee_id(OPERATORS))
PREPARE = QBFTMessage(1, Slot(1_000_000), Round(1), MESSAGE_ID, Root(bytes(32)))
SIGNED_PREPARE = SignedSSVMessage((bytes(256),), OPERATORS[:1], SSVMessage(0, MESSAGE_ID, PREPARE.encode())).encode()


def signed_prepare() -> None:
    """Envelope and content, read and written."""
    message = SignedSSVMessage.decode(SIGNED_PREPARE)
    QBFTMessage.decode(message.ssv_message.data).encode()
    message.encode()


def partials(count: int) -> Callable[[], None]:
    """The content of a message with ``count`` partial signatures, read and written."""
    item = PartialSignatureMessage(Signature(bytes(96)), Root(bytes(32)), OperatorId(1), ValidatorIndex(7))
    raw = PartialSignatureMessages(0, Slot(1_000_000), (item,) * count).encode()

    def run() -> None:
        PartialSignatureMessages.decode(raw).encode()

    return run


def microseconds(call: Callable[[], None], number: int, repeats: int) -> float:
    """Best time of one call."""
    return min(timeit.repeat(call, number=number, repeat=repeats)) / number * 1e6


def main() -> None:
    """Print the figures, as text or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validators", type=int, default=500, help="partial signatures in one message (500)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of which the best counts (7)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = {
        "signed_prepare_us": microseconds(signed_prepare, 2000, arguments.repeats),
        f"partials_{arguments.validators}_us": microseconds(partials(arguments.validators), 50, arguments.repeats),
    }
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:10.1f}")


if __name__ == "__main__":
    main()
