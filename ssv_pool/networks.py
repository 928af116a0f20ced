"""The SSV networks an operator can join: domain type and registry contract of each."""

from dataclasses import dataclass

from ssv_pool.errors import ConfigError
from ssv_pool.protocol.types.primitives import DomainType


@dataclass(frozen=True, slots=True)
class SsvNetwork:
    """One SSV network. Where ``contract`` is None the settings must name it."""

    name: str
    domain_type: DomainType
    """First four bytes of every message identifier."""
    contract: str | None
    """Address of the registry contract, EIP-55 text."""
    first_block: int
    """Execution block of the contract's deployment: registry sync starts here."""
    chain_id: int | None
    """The chain it lives on; None for any."""
    views: str | None
    """Address of the contract that answers view calls, EIP-55 text; None where it is the registry itself or unknown."""

    @property
    def boole_domain_type(self) -> DomainType:
        """Domain type of messages from the Boole fork on: the fork counter, the last byte, is one higher."""
        return DomainType(self.domain_type[:3] + bytes([self.domain_type[3] + 1]))


def _network(
    name: str,
    domain: str,
    contract: str | None,
    first_block: int,
    chain_id: int | None = None,
    views: str | None = None,
) -> SsvNetwork:
    return SsvNetwork(name, DomainType(bytes.fromhex(domain)), contract, first_block, chain_id, views)


NETWORKS: dict[str, SsvNetwork] = {
    network.name: network
    for network in (
        _network(
            "mainnet",
            "00000001",
            "0xDD9BC35aE942eF0cFa76930954a156B3fF30a4E1",
            17_507_487,
            1,
            "0xafE830B6Ee262ba11cce5F32fDCd760FFE6a66e4",
        ),
        _network(
            "holesky",
            "00000502",
            "0x38A4794cCEd47d3baf7370CcC43B560D3a1beEFA",
            181_612,
            17_000,
            "0x352A18AEe90cdcd825d1E37d9939dCA86C00e281",
        ),
        _network(
            "hoodi",
            "00000503",
            "0x58410Bef803ECd7E63B23664C586A6DB72DAf59c",
            1_065,
            560_048,
            "0x5AdDb3f1529C5ec70D77400499eE4bbF328368fe",
        ),
        _network("sepolia", "00000569", "0x261419B48F36EdF420743E9f91bABF4856e76f99", 7_795_814, 11_155_111),
        _network("devnet", "00000402", None, 0),
    )
}
"""Networks by name. ``devnet`` uses the domain that the field's local test networks use."""


def network_named(name: str) -> SsvNetwork:
    """The network called ``name``. Raises ConfigError when there is none."""
    try:
        return NETWORKS[name]
    except KeyError:
        raise ConfigError(f"network: unknown name {name!r}, expected one of {', '.join(NETWORKS)}") from None
