"""What a mutant is, where it is made and what can notice it."""

from dataclasses import dataclass

PROTOCOL = "ssv_pool/protocol/"
QBFT = PROTOCOL + "qbft/"
RUNNERS = PROTOCOL + "runners/"
VALIDATION = PROTOCOL + "validation/"

UNIT_QBFT = "test tests/unit/protocol/qbft"
UNIT_COMMITTEE = "test tests/unit/protocol/committee"
UNIT_RUNNERS = "test tests/unit/protocol/runners"
UNIT_VALIDATION = "test tests/unit/protocol/validation"
UNIT_TYPES = "test tests/unit/protocol/types/test_codec_refusals.py tests/unit/protocol/types/test_validate.py"
UNIT_FORKS = "test tests/unit/protocol/test_forks.py"
UNIT_SLASHING = "test tests/unit/signer/test_slashing.py"
UNIT_CRYPTO = "test tests/unit/crypto/test_threshold.py"
VECTORS = "spec qbft"
RUNNER_VECTORS = "spec ssv"
RUNNER_VECTORS_BOOLE = "spec ssv boole"
LOSSY = "seeds lossy 60"
PARTITIONED = "seeds partitioned 150"
BYZANTINE = "seeds byzantine 300"
STALE = "seeds stale 100"
CHAOS = "seeds chaos 300"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    name: str
    path: str
    """File, from the project's root."""
    old: str
    """Text that occurs there exactly once."""
    new: str
    """What it becomes."""
    killers: tuple[str, ...]
    """What is tried in turn: ``test <pytest arguments>``, ``spec <module> [fork]``, ``seeds <profile> <count>``."""
