"""What is asked of one beacon node about the chain: its constants, validators, roots, liveness."""

from collections.abc import Callable, Sequence

from ssv_pool.beacon import answers
from ssv_pool.beacon.answers import BeaconValidator, member, number, octets
from ssv_pool.beacon.node import ABSENT, Attempt, BeaconNode, Request, Result
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, ValidatorIndex

POST_VALIDATORS = 1000
"""Most validators asked for in one POST."""

GET_VALIDATORS = 50
"""Most validators asked for in one GET: its URL has 101 characters for each."""

LIVENESS_ROUTE = "/eth/v1/validator/liveness/{epoch}"
VALIDATORS_ROUTE = "/eth/v1/beacon/states/head/validators"
POST_VALIDATORS_ROUTE = f"POST {VALIDATORS_ROUTE}"


def asking(request: Request, reader: Callable[[object], Result]) -> Attempt[Result]:
    """An attempt of one request, whose JSON ``reader`` understands."""
    return lambda node, until: node.send(request, until).read(reader)


def chain(node: BeaconNode, until: float) -> BeaconChain:
    """The chain's constants."""
    genesis, spec = (
        node.send(Request("GET", path), until).read(lambda body: body)
        for path in ("/eth/v1/beacon/genesis", "/eth/v1/config/spec")
    )
    schedule = node.send(Request("GET", "/eth/v1/config/fork_schedule"), until)
    return schedule.read(lambda body: answers.chain(genesis, spec, body))


def validators(public_keys: Sequence[PublicKey]) -> Attempt[list[BeaconValidator]]:
    """What the head state says of these validators; those it does not know are left out."""
    names = [f"0x{key.hex()}" for key in public_keys]
    wanted = frozenset(public_keys)

    def ask(node: BeaconNode, until: float) -> list[BeaconValidator]:
        found = _posted(node, until, names)
        if found is None:
            found = []
            for part in _parts(names, GET_VALIDATORS):
                request = Request("GET", VALIDATORS_ROUTE, params={"id": part})
                found += node.send(request, until).read(answers.validators)
        # A node that ignores the filter would answer with all the validators of the chain.
        return [validator for validator in found if validator.public_key in wanted]

    return ask


def block_root(block: str) -> Attempt[Root]:
    """The root of a block, named ``head``, ``finalized``, by its slot or its root."""
    request = Request("GET", f"/eth/v1/beacon/blocks/{block}/root", "/eth/v1/beacon/blocks/{block}/root")
    return asking(request, lambda body: Root(octets(member(body, "data", dict), "root", 32)))


def liveness(epoch: Epoch, indices: Sequence[ValidatorIndex]) -> Attempt[dict[ValidatorIndex, bool] | None]:
    """Which of these validators the node saw at work in ``epoch``; None when it does not keep account of that."""
    request = Request(
        "POST", f"/eth/v1/validator/liveness/{epoch}", LIVENESS_ROUTE, body=[str(index) for index in indices]
    )

    def ask(node: BeaconNode, until: float) -> dict[ValidatorIndex, bool] | None:
        if node.lacks(LIVENESS_ROUTE):
            return None
        answer = node.send(request, until)
        if answer.status in ABSENT:
            node.note_absent(LIVENESS_ROUTE)
            return None
        return answer.read(
            lambda body: {
                ValidatorIndex(number(entry, "index")): member(entry, "is_live", bool)
                for entry in member(body, "data", list)
            }
        )

    return ask


def _posted(node: BeaconNode, until: float, names: list[str]) -> list[BeaconValidator] | None:
    """The validators asked for by POST; None where the node lacks that route."""
    if node.lacks(POST_VALIDATORS_ROUTE):
        return None
    found: list[BeaconValidator] = []
    for part in _parts(names, POST_VALIDATORS):
        answer = node.send(Request("POST", VALIDATORS_ROUTE, body={"ids": part}), until)
        if answer.status in ABSENT:
            node.note_absent(POST_VALIDATORS_ROUTE)
            return None
        found += answer.read(answers.validators)
    return found


def _parts(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
