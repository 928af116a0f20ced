import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.devnet.beacon.frames import (
    MAX_FRAME_BYTES,
    FrameError,
    FrameKind,
    Hello,
    SentUpTo,
    check_root,
    decode_frame,
    decode_slot,
    encode_frame,
    encode_slot,
)

ROOTS = st.binary(min_size=32, max_size=32)
SLOTS = st.integers(0, 2**64 - 1)


@given(st.sampled_from(FrameKind), st.binary(max_size=64))
def test_frames(kind, content):
    assert decode_frame(encode_frame(kind, content)) == (kind, content)


@given(st.builds(Hello, st.binary(min_size=16, max_size=16), ROOTS, ROOTS, SLOTS))
def test_hellos(hello):
    assert Hello.decode(hello.encode()) == hello


@given(st.builds(SentUpTo, SLOTS, SLOTS))
def test_ends_of_blocks(sent):
    assert SentUpTo.decode(sent.encode()) == sent


@given(st.binary(max_size=120))
def test_nothing_else_comes_out(raw):
    for decode in (decode_frame, Hello.decode, SentUpTo.decode, decode_slot, check_root):
        try:
            value = decode(raw)
        except FrameError:
            continue
        encode = {
            decode_frame: lambda value: encode_frame(*value),
            Hello.decode: Hello.encode,
            SentUpTo.decode: SentUpTo.encode,
            decode_slot: encode_slot,
            check_root: bytes,
        }[decode]
        assert encode(value) == raw


@pytest.mark.parametrize(
    ("decode", "raw", "message"),
    [
        (decode_frame, b"", f"frame: found 0 bytes, expected 1 to {MAX_FRAME_BYTES}"),
        (decode_frame, bytes(MAX_FRAME_BYTES + 1), f"frame: found {MAX_FRAME_BYTES + 1} bytes, expected 1 to 8388608"),
        (decode_frame, b"\xff", "frame: found kind 255, expected 0 to 11"),
        (Hello.decode, bytes(87), "hello: found 87 bytes, expected 88"),
        (decode_slot, bytes(9), "slot: found 9 bytes, expected 8"),
        (check_root, bytes(31), "root: found 31 bytes, expected 32"),
    ],
)
def test_errors(decode, raw, message):
    with pytest.raises(FrameError) as raised:
        decode(raw)
    assert str(raised.value) == message
