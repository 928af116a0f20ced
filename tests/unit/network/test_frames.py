import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2

from ssv_pool.network.errors import FrameError
from ssv_pool.network.frames import FrameReader, check_rpc, decode_varint, encode_varint


@given(st.integers(0, 2**64 - 1), st.binary(max_size=4))
def test_varints_come_back(value: int, tail: bytes) -> None:
    encoded = encode_varint(value)

    assert decode_varint(encoded + tail, 0) == (value, len(encoded))
    assert decode_varint(encoded[:-1], 0) is None


def test_endless_varint() -> None:
    with pytest.raises(FrameError, match="varint: over 10 bytes"):
        decode_varint(b"\x80" * 10, 0)


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_come_out_however_the_bytes_are_cut(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode_varint(len(frame)) + frame for frame in frames)
    reader = FrameReader(limit=300)
    got: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += reader.feed(stream[:size])
        stream = stream[size:]

    assert got == frames


def test_frame_over_the_limit_is_refused_before_it_comes() -> None:
    with pytest.raises(FrameError, match="frame: 301 bytes announced, expected at most 300"):
        FrameReader(limit=300).feed(encode_varint(301))


@given(st.lists(st.binary(max_size=50), max_size=20), st.booleans())
def test_real_rpcs_pass(messages: list[bytes], with_control: bool) -> None:
    rpc = rpc_pb2.RPC(publish=[rpc_pb2.Message(data=data, topicIDs=["t"]) for data in messages])
    if with_control:
        rpc.control.ihave.append(rpc_pb2.ControlIHave(topicID="t", messageIDs=messages))

    check_rpc(rpc.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_pass_or_are_refused_cleanly(frame: bytes) -> None:
    try:
        check_rpc(frame)
    except FrameError:
        return


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x12\x00" * 8193, "rpc: over 8192 entries"),
        (b"\x1a" + encode_varint(2**20 + 1) + bytes(2**20 + 1), "rpc: 1048577 bytes of control data"),
        (b"\x12\x05abc", "rpc: a field runs over the frame's end"),
        (b"\x12", "rpc: ends within a field"),
        (b"\x13", "rpc: wire type 3"),
    ],
)
def test_outlines_that_are_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        check_rpc(frame)
