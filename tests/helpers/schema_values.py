"""Random values of SSZ types, for the tests of whoever writes or reads them."""

from ssv_pool.protocol.types import schema as s


def random_value(kind, dice, most=2):
    """A value of an SSZ type; lists have up to ``most`` items."""
    match kind:
        case s.Container():
            return kind.record(*(random_value(field, dice, most) for field in kind.fields.values()))
        case s.Bitlist():
            count = dice.randrange(300)
            return (dice.getrandbits(300) & (2**count - 1) | 1 << count).to_bytes(count // 8 + 1, "little")
        case s.ByteList():
            return dice.randbytes(dice.randrange(min(kind.limit, 300) + 1))
        case s.Bitvector():
            return dice.getrandbits(kind.bits).to_bytes(kind.size, "little")
        case s.Bytes():
            return dice.randbytes(kind.size)
        case s.U64List():
            return tuple(dice.getrandbits(64) for _ in range(dice.randrange(most + 1)))
        case s.List():
            return tuple(random_value(kind.item, dice, most) for _ in range(dice.randrange(min(most, kind.limit) + 1)))
        case s.Vector():
            return tuple(random_value(kind.item, dice, most) for _ in range(kind.count))
        case s.Uint():
            return dice.getrandbits(8 * kind.size)
    raise AssertionError(kind)
