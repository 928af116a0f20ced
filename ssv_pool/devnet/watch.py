"""Notes, while the chain runs, what a beacon node tells of the present alone: who has which duty."""

from dataclasses import dataclass, field

import httpx

from ssv_pool.devnet.config import CHAIN_VALIDATORS, SLOTS_PER_EPOCH
from ssv_pool.devnet.inclusion import parse_committees
from ssv_pool.errors import UnavailableError

SETTLING_SLOTS = 3
"""Slots of an epoch after which its proposers are asked for."""


@dataclass(slots=True)
class ChainWatch:
    """The duties of the epochs seen so far."""

    proposers: dict[int, int] = field(default_factory=dict)
    """Slot → index of the validator that has to propose."""
    sync_committees: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Epoch → validator indices of the sync committee by place."""

    committees: dict[int, dict[tuple[int, int], tuple[int, ...]]] = field(default_factory=dict)
    """Epoch → (slot, committee index) → members of the attesting committees by place."""

    def look(self, client: httpx.Client, url: str, slot: int) -> None:
        """Ask for what is not known yet of the present; a node that does not answer is asked next time.

        Raises:
            UnavailableError: an answer is malformed.
        """
        # A late last block of the epoch before may still change who proposes: wait until that is over.
        settled = max(0, slot - SETTLING_SLOTS) // SLOTS_PER_EPOCH
        epoch = slot // SLOTS_PER_EPOCH
        try:
            if settled * SLOTS_PER_EPOCH not in self.proposers:
                reply = client.get(f"{url}/eth/v1/validator/duties/proposer/{settled}").raise_for_status().json()
                self.proposers |= {int(duty["slot"]): int(duty["validator_index"]) for duty in reply["data"]}
            if epoch not in self.sync_committees:
                self.sync_committees[epoch] = self._sync_committee(client, url, epoch)
            if epoch not in self.committees:
                reply = client.get(f"{url}/eth/v1/beacon/states/head/committees?epoch={epoch}").raise_for_status()
                self.committees[epoch] = parse_committees(reply.json()["data"], epoch, SLOTS_PER_EPOCH)
        except httpx.HTTPError:
            return
        except (ValueError, KeyError, TypeError) as error:
            raise UnavailableError(f"beacon node: duties at slot {slot}: malformed ({error!r})") from None

    @staticmethod
    def _sync_committee(client: httpx.Client, url: str, epoch: int) -> tuple[int, ...]:
        indices = [str(index) for index in range(CHAIN_VALIDATORS)]
        reply = client.post(f"{url}/eth/v1/validator/duties/sync/{epoch}", json=indices).raise_for_status().json()
        members = {
            int(place): int(duty["validator_index"])
            for duty in reply["data"]
            for place in duty["validator_sync_committee_indices"]
        }
        return tuple(members[place] for place in range(len(members)))
