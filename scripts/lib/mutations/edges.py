"""Small faults where messages come in and signatures go out: codecs, gossip rules, slashing protection."""

from mutations.model import PROTOCOL, UNIT_COMMITTEE, UNIT_SLASHING, UNIT_TYPES, UNIT_VALIDATION, VALIDATION, Mutant

EDGES = (
    Mutant(
        "partial signatures may name another signer",
        PROTOCOL + "types/partial.py",
        "if self.messages[0].signer != signer:",
        "if not signer:",
        (UNIT_TYPES, UNIT_COMMITTEE),
    ),
    Mutant(
        "duplicate signers are allowed",
        PROTOCOL + "types/messages.py",
        "            if signer in seen:\n",
        "            if False:\n",
        (UNIT_TYPES,),
    ),
    Mutant(
        "offsets may go back",
        PROTOCOL + "types/ssz.py",
        "        if offset < previous:",
        "        if False:",
        (UNIT_TYPES,),
    ),
    Mutant(
        "lists may be too long",
        PROTOCOL + "types/ssz.py",
        "    check_limit(name, count, limit)\n    check_size(name, raw, first)",
        "    check_size(name, raw, first)",
        (UNIT_TYPES,),
    ),
    Mutant(
        "a decided message with few signers passes on",
        VALIDATION + "consensus.py",
        "if count < envelope.committee.quorum:",
        "if count < 2:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "full data is not held against its hash",
        VALIDATION + "consensus.py",
        "if sha256(message.full_data).digest() != content.root:",
        "if not content.root:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "proposals of others than the leader pass on",
        VALIDATION + "consensus.py",
        "if envelope.message.operator_ids[0] != leader:",
        "if not leader:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "a repeated message passes on",
        VALIDATION + "consensus.py",
        "if seen.types >> content.msg_type & 1:\n        raise RuleBrokenError(\n            Rule.REPEATED_TYPE",
        "if False:\n        raise RuleBrokenError(\n            Rule.REPEATED_TYPE",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "rounds far ahead pass on",
        VALIDATION + "timing.py",
        "if round_ > allowed:",
        "if round_ > allowed + 1:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "late messages pass on",
        VALIDATION + "timing.py",
        "if late > CLOCK_TOLERANCE:",
        "if late > 100:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "one duty too many passes on",
        VALIDATION + "timing.py",
        "if duties > allowed:",
        "if duties > allowed + 1:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "signers outside the committee pass on",
        VALIDATION + "envelope.py",
        "signers_in(committee.operator_ids):",
        "signers_in(message.operator_ids):",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "surrounding votes are signed",
        "ssv_pool/signer/slashing.py",
        "(source < ? AND target > ?) OR (source > ? AND target < ?)",
        "(source < ? AND target > ? AND 0) OR (source > ? AND target < ?)",
        (UNIT_SLASHING, "test tests/spec/test_interchange_vectors.py"),
    ),
    Mutant(
        "a source before the highest one is not doubtful",
        "ssv_pool/signer/slashing.py",
        "elif source < entry[1].top_source or target <= entry[1].top_target:",
        "elif target <= entry[1].top_target:",
        (UNIT_SLASHING, "test tests/spec/test_interchange_vectors.py"),
    ),
    Mutant(
        "a second vote for a target is not doubtful",
        "ssv_pool/signer/slashing.py",
        "elif source < entry[1].top_source or target <= entry[1].top_target:",
        "elif source < entry[1].top_source or target < entry[1].top_target:",
        (UNIT_SLASHING, "test tests/spec/test_interchange_vectors.py"),
    ),
)
"""All of these."""
