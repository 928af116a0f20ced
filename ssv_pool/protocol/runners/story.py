"""What is remembered of a duty for people: when it reached which step, who took part, what went wrong."""

from ssv_pool.protocol.events import DutyRecord, Outcome, Reason, StepTime
from ssv_pool.protocol.types.primitives import OperatorId, Round, Slot
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember


class DutyStory:
    """Collects what ends up in the duty's record."""

    __slots__ = ("_heard", "_member", "_role", "_slot", "_steps", "key", "proposal_refused")

    def __init__(self, key: str, role: RunnerRole, slot: Slot, member: CommitteeMember) -> None:
        self.key = key
        self.proposal_refused = ""
        """Why the last proposal failed the own value check; empty if none did."""
        self._role = role
        self._slot = slot
        self._member = member
        self._steps: dict[str, float] = {}
        self._heard: set[OperatorId] = {member.operator_id}

    def reach(self, step: str, time: float) -> None:
        """Note the first time a step is reached."""
        self._steps.setdefault(step, time)

    def reach_again(self, step: str, time: float) -> None:
        """Note the last time a step is reached: for those that come in parts."""
        self._steps.pop(step, None)
        self._steps[step] = time

    def hear(self, operator_ids: tuple[OperatorId, ...]) -> None:
        """Note that these operators signed something of this duty."""
        self._heard.update(operator_ids)

    def record(
        self, outcome: Outcome, reason: Reason, detail: str, round_: Round, validators: int, completed: int
    ) -> DutyRecord:
        """The duty's record, as of now."""
        return DutyRecord(
            key=self.key,
            role=self._role,
            slot=self._slot,
            committee_id=self._member.committee_id,
            outcome=outcome,
            reason=reason,
            detail=detail,
            round=round_,
            silent_operators=tuple(sorted(set(self._member.operator_ids) - self._heard)),
            validators=validators,
            completed=completed,
            steps=tuple(StepTime(name, time) for name, time in self._steps.items()),
        )
