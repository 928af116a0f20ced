"""Shares that are not what the registry says: the node says which, and runs everything else."""

import pytest
from live_cluster import until
from live_network import FOREIGN_SHARE, GARBAGE_SHARE

pytestmark = pytest.mark.integration


def test_bad_shares_are_reported_and_their_validators_not_run(live):
    victim = live.operator(4)
    garbage, foreign = (f"0x{live.cluster.public_keys[index].hex()}" for index in (GARBAGE_SHARE, FOREIGN_SHARE))

    status = victim.status()

    assert status["bad_shares"].keys() == {garbage, foreign}
    # One text for both: what exactly is wrong with a ciphertext must not be told to whoever sent it.
    assert all("does not decrypt to its secret key" in why for why in status["bad_shares"].values())
    assert status["validators"] == len(live.cluster.validators), "it runs the others"
    assert victim.metric("ssv_signer_shares_bad_count") == 2
    lines = victim.log_lines("share refused, its validator is not run")
    assert sorted(key for key in (garbage, foreign) for line in lines if key[2:] in line) == sorted((garbage, foreign))
    assert victim.healthy()


def test_the_other_operators_run_the_validators_without_it(live):
    good = [live.operator(number).status() for number in (1, 2, 3)]
    assert [status["bad_shares"] for status in good] == [{}] * 3
    assert [status["validators"] for status in good] == [len(live.cluster.validators) + 2] * 3
    for validator in (GARBAGE_SHARE, FOREIGN_SHARE):
        live.cluster.wait_attesting(1, first=0, validators=(validator,))
    completed = live.operator(4).status()["duties"]["completed"]
    until(lambda: live.operator(4).status()["duties"]["completed"] > completed, what=live.operator(4).status)
