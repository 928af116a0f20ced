"""The registry contract through Brownie, on anvil: run by scripts/brownie test."""

import pytest

NEW_CLUSTER = (0, 0, 0, True, 0)


@pytest.fixture
def registry(SSVRegistry, accounts):  # noqa: N803
    contract = SSVRegistry.deploy(3_000, {"from": accounts[0]})
    for number in range(4):
        contract.registerOperator(bytes([number]), 0, False, {"from": accounts[0]})
    return contract


def test_validator_is_registered_and_removed(registry, accounts):
    key = b"\x01" * 48
    added = registry.registerValidator(key, [1, 2, 3, 4], b"\x02" * 1312, NEW_CLUSTER, {"from": accounts[1]})
    assert registry.getValidator(accounts[1], key)
    removed = registry.removeValidator(
        key, [1, 2, 3, 4], added.events["ValidatorAdded"]["cluster"], {"from": accounts[1]}
    )
    assert removed.events["ValidatorRemoved"]["cluster"]["validatorCount"] == 0
    assert not registry.getValidator(accounts[1], key)
