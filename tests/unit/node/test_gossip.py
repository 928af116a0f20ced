"""Between network and validation: verdicts and what was decoded go on, nothing passes before the chain is known."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from committee_network import FORKS, chain
from prometheus_client import REGISTRY

from ssv_pool.network import GossipMessage, Judgement, Verdict
from ssv_pool.node import gossip as module
from ssv_pool.node.gossip import Gossip, accepted_of
from ssv_pool.node.registry import RegistryState
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.protocol.validation import Accepted, CommitteeView, Refused, Rule

CHAIN = chain()
IDS = tuple(map(OperatorId, (1, 2, 3, 4)))
COMMITTEE = committee_id(IDS)
ACCEPTED = Accepted("message", "content")  # type: ignore[arg-type]


def count(verdict: str, rule: str) -> float:
    labels = {"verdict": verdict, "rule": rule}
    return REGISTRY.get_sample_value("ssv_p2p_message_validations_total", labels) or 0.0


@dataclass
class FakeValidator:
    """Stands in for the rules: answers ``answer`` and notes how it was made and asked."""

    view: Any
    forks: Any
    chain: Any
    keys: Any
    state: Any = None
    asked: list[object] = field(default_factory=list)

    answer = ACCEPTED
    made = []  # type: ignore[var-annotated]  # noqa: RUF012 - emptied by each test

    def __post_init__(self) -> None:
        self.state = self.state or object()
        self.made.append(self)

    def validate(self, *question: object) -> Accepted | Refused:
        self.asked.append(question)
        return self.answer


@pytest.fixture
def validators(monkeypatch: pytest.MonkeyPatch) -> list[FakeValidator]:
    FakeValidator.made.clear()
    monkeypatch.setattr(module, "Validator", FakeValidator)
    return FakeValidator.made


def test_everything_is_ignored_until_the_chain_is_known(validators: list[FakeValidator]) -> None:
    before = count("ignore", "chain_not_known_yet")
    assert Gossip(FORKS, None).judge(b"peer", "topic", b"data") == Judgement(Verdict.IGNORE)  # type: ignore[arg-type]
    assert count("ignore", "chain_not_known_yet") == before + 1
    assert validators == []


def test_what_the_rules_accept_goes_on_decoded(validators: list[FakeValidator]) -> None:
    gossip = Gossip(FORKS, None, clock=lambda: 7.5)  # type: ignore[arg-type]
    gossip.update(RegistryState(), CHAIN)
    judgement = gossip.judge(b"peer", "topic", b"data")
    assert judgement == Judgement(Verdict.ACCEPT, ACCEPTED)
    assert validators[0].asked == [(b"peer", "topic", b"data", 7.5)]
    assert accepted_of(GossipMessage(b"peer", "topic", b"data", judgement.decoded)) is ACCEPTED


@pytest.mark.parametrize("rule", list(Rule))
def test_each_broken_rule_is_counted_by_its_name(
    validators: list[FakeValidator], monkeypatch: pytest.MonkeyPatch, rule: Rule
) -> None:
    refused = Refused(rule, "detail")
    monkeypatch.setattr(FakeValidator, "answer", refused)
    gossip = Gossip(FORKS, None)  # type: ignore[arg-type]
    gossip.update(RegistryState(), CHAIN)
    verdict = refused.verdict.name
    before = count(verdict.lower(), rule.name.lower())
    spared = refused.verdict.name == "REJECT" and not rule.blames_peer
    assert gossip.judge(b"peer", "topic", b"data") == Judgement(Verdict[verdict], blames_peer=not spared)
    assert count(verdict.lower(), rule.name.lower()) == before + 1


def test_the_registry_is_asked_as_it_is_now(validators: list[FakeValidator]) -> None:
    gossip = Gossip(FORKS, None)  # type: ignore[arg-type]
    gossip.update(RegistryState(), CHAIN)
    view = validators[0].view
    assert (view.committee(COMMITTEE), view.operator_key(OperatorId(1))) == (None, None)
    known = CommitteeView(IDS, 1, in_sync_committee=True)
    gossip.update(RegistryState(committees={COMMITTEE: known}, operator_keys={OperatorId(1): b"pem"}), CHAIN)
    assert (view.committee(COMMITTEE), view.operator_key(OperatorId(1))) == (known, b"pem")
    assert len(validators) == 1


def test_a_new_fork_schedule_keeps_what_was_seen(validators: list[FakeValidator]) -> None:
    gossip = Gossip(FORKS, None)  # type: ignore[arg-type]
    gossip.update(RegistryState(), CHAIN)
    later = replace(CHAIN, forks=(*CHAIN.forks, replace(CHAIN.forks[0], epoch=99)))
    gossip.update(RegistryState(), later)
    assert [validator.chain for validator in validators] == [CHAIN, later]
    assert validators[1].state is validators[0].state


def test_a_message_that_was_not_accepted_here_is_a_bug() -> None:
    with pytest.raises(TypeError, match="decoded as NoneType, expected Accepted"):
        accepted_of(GossipMessage(b"peer", "topic", b"data", None))
