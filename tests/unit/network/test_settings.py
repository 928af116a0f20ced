import pytest

from ssv_pool.errors import ConfigError
from ssv_pool.network import PeerAddress
from ssv_pool.network.identity import identity_from_secret

PEER = identity_from_secret(bytes([1]) * 32).peer_id


@pytest.mark.parametrize("host", ["ip4/127.0.0.1", "ip6/::1", "dns4/operator.example", "dns/operator"])
def test_addresses(host: str) -> None:
    text = f"/{host}/tcp/13001/p2p/{PEER}"

    assert PeerAddress.parse(text) == PeerAddress(text, PEER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:13001",
        "/ip4/127.0.0.1/tcp/13001",
        f"/ip4/127.0.0.1/udp/13001/p2p/{PEER}",
        f"/ip4/127.0.0.1/tcp/0/p2p/{PEER}",
        f"/ip4/127.0.0.1/tcp/99999/p2p/{PEER}",
        f"/ip4//tcp/13001/p2p/{PEER}",
    ],
)
def test_other_addresses(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PeerAddress.parse(text)

    assert str(caught.value) == f"p2p.peers: {text!r}, expected /ip4/<address>/tcp/<port>/p2p/<peer id>"


@pytest.mark.parametrize("peer", ["0OIl", "abc"])
def test_peer_ids_that_are_none(peer: str) -> None:
    with pytest.raises(ConfigError, match=r"^p2p\.peers: .*peer id"):
        PeerAddress.parse(f"/ip4/127.0.0.1/tcp/13001/p2p/{peer}")
