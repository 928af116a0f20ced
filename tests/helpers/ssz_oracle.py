"""Remerkleable as the oracle of codecs: the same value in both, and input that was damaged on its way."""

from hypothesis import strategies as st
from remerkleable.bitfields import Bitlist, Bitvector
from remerkleable.complex import Container, List, Vector

from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError

u64 = st.integers(0, 2**64 - 1)


def sized(size):
    return st.binary(min_size=size, max_size=size)


def tuples(items, most):
    return st.lists(items, max_size=most).map(tuple)


def bitlists(most):
    """Bit lists as on the wire, with the bit that marks the end."""
    return st.integers(0, most).flatmap(
        lambda count: st.integers(0, 2**count - 1).map(
            lambda bits: (bits | 1 << count).to_bytes(count // 8 + 1, "little")
        )
    )


def oracle_value(value, kind):
    """The same value as a remerkleable view: fields have the same names and order there."""
    if issubclass(kind, Container):
        fields = kind.fields()
        return kind(**{name: oracle_value(getattr(value, name), field) for name, field in fields.items()})
    if issubclass(kind, (List, Vector)):
        return kind([oracle_value(item, kind.element_cls()) for item in value])
    if issubclass(kind, (Bitlist, Bitvector)):
        return kind.decode_bytes(value)
    return kind(value)


@st.composite
def damaged(draw, raw):
    """``raw`` with one to three bytes changed, cut out or put in."""
    changed = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["set", "cut", "insert"])):
            case "set" if place < len(changed):
                changed[place] = draw(st.one_of(st.integers(0, 255), st.just((changed[place] + 1) % 256)))
            case "cut":
                del changed[place : place + draw(st.integers(1, 8))]
            case _:
                changed[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(changed)


def reencoded(decode, raw):
    """The encoding of what ``decode`` makes of ``raw``, or the code with which it is refused."""
    try:
        return decode(raw).encode()
    except ProtocolError as error:
        return error.code


REFUSED = ErrorCode.UNMARSHAL_SSZ
