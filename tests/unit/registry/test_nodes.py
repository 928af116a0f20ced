"""Which execution node is asked first."""

from dataclasses import dataclass

from ssv_pool.registry.nodes import HEADS_SECONDS, LAG_BLOCKS, LONGEST_PAUSE, NodeRanking
from ssv_pool.registry.rpc import ExecutionError
from ssv_pool.store.cursor import Block


@dataclass(eq=False)
class Node:
    name: str
    number: int = 100
    problem: str | None = None
    asked: int = 0

    def head(self) -> Block:
        self.asked += 1
        if self.problem is not None:
            raise ExecutionError(self.problem)
        return Block(self.number, bytes(32), bytes(32), 0)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def ranking(clock: Clock, *nodes: Node) -> NodeRanking:
    return NodeRanking(nodes, clock)  # type: ignore[arg-type]


def names(ranking: NodeRanking) -> list[str]:
    return [node.name for node in ranking.ranked()]


def test_as_configured_while_all_is_well() -> None:
    clock, a, b = Clock(), Node("a"), Node("b", 100 + LAG_BLOCKS)
    ranked = ranking(clock, a, b)
    assert names(ranked) == ["a", "b"]
    clock.now += HEADS_SECONDS - 1
    names(ranked)
    assert (a.asked, b.asked) == (1, 1)
    assert [(state.head, state.lag) for state in ranked.states()] == [(100, LAG_BLOCKS), (100 + LAG_BLOCKS, 0)]


def test_one_that_lags_comes_last_until_it_has_caught_up() -> None:
    clock, a, b = Clock(), Node("a"), Node("b", 101 + LAG_BLOCKS)
    ranked = ranking(clock, a, b)
    assert names(ranked) == ["b", "a"]
    a.number = 105
    clock.now += HEADS_SECONDS
    assert names(ranked) == ["a", "b"]


def test_one_that_failed_is_left_alone_for_longer_each_time() -> None:
    clock, a, b = Clock(), Node("a"), Node("b")
    ranked = ranking(clock, a, b)
    names(ranked)
    for pause in (1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE):
        ranked.failed(a, "gone")
        clock.now += pause - 0.5
        assert names(ranked) == ["b", "a"]
        clock.now += 0.5
        assert names(ranked) == ["a", "b"]
    assert ranked.states()[0].problem == "gone"
    ranked.answered(a, 200)
    assert ranked.states()[0].problem is None


def test_one_that_does_not_answer_for_its_head_has_failed() -> None:
    clock, a, b = Clock(), Node("a", problem="away"), Node("b")
    ranked = ranking(clock, a, b)
    assert names(ranked) == ["b", "a"]
    assert ranked.states()[0].problem == "away"


def test_a_single_node_is_not_compared() -> None:
    a = Node("a")
    assert names(ranking(Clock(), a)) == ["a"]
    assert a.asked == 0


def test_one_that_told_a_falsehood_comes_after_those_that_did_not() -> None:
    a, b = Node("a"), Node("b")
    ranked = ranking(Clock(), a, b)
    ranked.told_falsehood(a, 2)
    assert names(ranked) == ["b", "a"]
    assert (ranked.trusted(a), ranked.trusted(b), ranked.states()[0].gaps) == (False, True, 2)
