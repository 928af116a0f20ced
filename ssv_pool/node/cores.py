"""Makes the core's objects for the dispatcher, with what this process has for them: keys, signer, clock."""

import time

from ssv_pool.node.registry import OwnCommittee
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.ports import OperatorKeys, ShareSigner, ThresholdScheme
from ssv_pool.protocol.types.share import CommitteeMember, Share
from ssv_pool.protocol.validator import Validator


class LocalCores:
    """Makes committees and validators that sign with this operator's shares."""

    def __init__(
        self,
        forks: ForkSchedule,
        keys: OperatorKeys,
        signer: ShareSigner,
        threshold: ThresholdScheme,
        gas_limit: int,
    ) -> None:
        """Make it.

        Args:
            forks: the SSV network's forks.
            keys: RSA keys of the operators.
            signer: signs with this operator's shares.
            threshold: rebuilds and checks BLS signatures.
            gas_limit: for validator registrations.
        """
        self.forks = forks
        """What is made from now on has these."""
        self._keys = keys
        self._signer = signer
        self._threshold = threshold
        self._gas_limit = gas_limit

    def committee(self, own: OwnCommittee, chain: BeaconChain) -> Committee:
        """The object of a committee."""
        return Committee(
            own.member, own.shares, self.forks, chain, self._keys, self._signer, self._threshold, clock=time.time
        )

    def validator(self, member: CommitteeMember, share: Share, chain: BeaconChain) -> Validator:
        """The object of a validator."""
        return Validator(
            member,
            share,
            self.forks,
            chain,
            self._keys,
            self._signer,
            self._threshold,
            clock=time.time,
            gas_limit=self._gas_limit,
        )
