# pragma version 0.4.3
"""
@title Who decides: members and their quorum, the owner's announced changes, the pause
@license Apache-2.0
@dev What moves money needs the signatures of a quorum of members (EIP-712); more than two thirds, so that any two
     quorums have a member in common that is not at fault. The owner can only announce: everybody sees a change two weeks
     before it may come.
"""
from _registry import governance

uses: governance

MAX_MEMBERS: constant(uint256) = 13
DELAY: public(constant(uint256)) = 14 * 86_400
PAUSE_TIME: constant(uint256) = 7 * 86_400
PAUSE_BREAK: constant(uint256) = 7 * 86_400

# What parameters may be at most, basis points. A gain is booked slowly and a cluster's payment is spent: whoever sets
# these cannot make them a way to take the deposits.
MAX_FEES: constant(uint256) = 2_000
MAX_YEARLY_GAIN: constant(uint32) = 10_000
MAX_LOSS: constant(uint16) = 5_000
MAX_CLUSTER_BUDGET: constant(uint16) = 1_000

DOMAIN_TYPE: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
DOMAIN_NAME: constant(bytes32) = keccak256("SSV Staking Pool")
DOMAIN_VERSION: constant(bytes32) = keccak256("1")

NOTHING_ANNOUNCED: constant(uint8) = 0
PARAMETERS_ANNOUNCED: constant(uint8) = 1
MEMBERS_ANNOUNCED: constant(uint8) = 2


struct Parameters:
    treasury: address
    operatorFee: uint16
    treasuryFee: uint16
    maxYearlyGain: uint32
    maxLoss: uint16
    clusterBudget: uint16


struct Announcement:
    kind: uint8
    executableAt: uint256
    parameters: Parameters
    members: DynArray[address, MAX_MEMBERS]
    quorum: uint8


event ParametersAnnounced:
    parameters: Parameters
    executableAt: uint256


event ParametersChanged:
    parameters: Parameters


event MembersAnnounced:
    members: DynArray[address, MAX_MEMBERS]
    quorum: uint8
    executableAt: uint256


event MembersChanged:
    members: DynArray[address, MAX_MEMBERS]
    quorum: uint8


event AnnouncementCancelled:
    kind: uint8


event Paused:
    by: indexed(address)
    until: uint256
    reason: String[96]


event Unpaused:
    by: indexed(address)


council: DynArray[address, MAX_MEMBERS]
isMember: public(HashMap[address, bool])
quorum: public(uint8)
values: Parameters
announced: Announcement

paused_by: address
paused_since: uint256
paused_until: uint256
pause_reason: String[96]


@deploy
def __init__(members: DynArray[address, MAX_MEMBERS], quorum: uint8, parameters: Parameters):
    self._check_members(members, quorum)
    self._check_parameters(parameters)
    self._set_members(members, quorum)
    self._set_parameters(parameters)


# Changes


@external
@nonreentrant
def announceParameters(parameters: Parameters):
    """
    @notice Announces new parameters, in the place of what was announced before; the owner may put them into force after
            14 days.
    """
    governance._check_owner()
    self._check_parameters(parameters)
    self.announced = empty(Announcement)
    self.announced.kind = PARAMETERS_ANNOUNCED
    self.announced.executableAt = block.timestamp + DELAY
    self.announced.parameters = parameters
    log ParametersAnnounced(parameters=parameters, executableAt=block.timestamp + DELAY)


@external
@nonreentrant
def executeParameters():
    """
    @notice Puts announced parameters into force.
    """
    self._check_announced(PARAMETERS_ANNOUNCED)
    parameters: Parameters = self.announced.parameters
    self.announced = empty(Announcement)
    self._set_parameters(parameters)


@external
@nonreentrant
def announceMembers(members: DynArray[address, MAX_MEMBERS], quorum: uint8):
    """
    @notice Announces all members there shall be, in the place of what was announced before; the owner may put it into
            force after 14 days.
    @param members in ascending order, 1 to 13
    @param quorum how many must sign, more than two thirds
    """
    governance._check_owner()
    self._check_members(members, quorum)
    self.announced = empty(Announcement)
    self.announced.kind = MEMBERS_ANNOUNCED
    self.announced.executableAt = block.timestamp + DELAY
    self.announced.members = members
    self.announced.quorum = quorum
    log MembersAnnounced(members=members, quorum=quorum, executableAt=block.timestamp + DELAY)


@external
@nonreentrant
def executeMembers():
    """
    @notice Puts announced members into office.
    """
    self._check_announced(MEMBERS_ANNOUNCED)
    members: DynArray[address, MAX_MEMBERS] = self.announced.members
    quorum: uint8 = self.announced.quorum
    self.announced = empty(Announcement)
    self._set_members(members, quorum)


@external
@nonreentrant
def cancelAnnouncement():
    """
    @notice Takes back what was announced.
    """
    governance._check_owner()
    kind: uint8 = self.announced.kind
    if kind == NOTHING_ANNOUNCED:
        raw_revert(method_id("NotAnnounced()"))
    self.announced = empty(Announcement)
    log AnnouncementCancelled(kind=kind)


# Pause


@external
@nonreentrant
def pause(reason: String[96]):
    """
    @notice Stops staking, registration, funding, payments to clusters and reports for 7 days at most. Leaving goes on:
            requests, finalising of those that are ready, claims. Any member may, and the owner; not again before 7 days
            after the end, so that no one can lock the pool.
    """
    if msg.sender != governance.owner:
        self._check_member()
    free_from: uint256 = self.paused_until + PAUSE_BREAK
    if self.paused_since != 0 and block.timestamp < free_from:
        raw_revert(abi_encode(free_from, method_id=method_id("PauseTooSoon(uint256)")))
    self.paused_by = msg.sender
    self.paused_since = block.timestamp
    self.paused_until = block.timestamp + PAUSE_TIME
    self.pause_reason = reason
    log Paused(by=msg.sender, until=block.timestamp + PAUSE_TIME, reason=reason)


@external
@nonreentrant
def unpause():
    """
    @notice Ends a pause; by the owner.
    """
    governance._check_owner()
    if block.timestamp >= self.paused_until:
        raw_revert(method_id("NotPaused()"))
    self.paused_until = block.timestamp
    log Unpaused(by=msg.sender)


# Views


@external
@view
def members() -> DynArray[address, MAX_MEMBERS]:
    """
    @notice Those who sign, in ascending order.
    """
    return self.council


@external
@view
def parameters() -> Parameters:
    """
    @notice Who gets fees and how much, and what reports and payments may be at most; basis points.
    """
    return self.values


@external
@view
def announcement() -> Announcement:
    """
    @notice What is announced: kind 0 nothing, 1 parameters, 2 members; and from when it may be put into force.
    """
    return self.announced


@external
@view
def paused() -> bool:
    """
    @notice Whether the pool is paused now.
    """
    return block.timestamp < self.paused_until


@external
@view
def pauseState() -> (address, uint256, uint256, String[96]):
    """
    @notice The last pause: by whom, since when, until when, and why.
    """
    return self.paused_by, self.paused_since, self.paused_until, self.pause_reason


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    """
    @notice EIP-712 domain of what members sign.
    """
    return self._domain()


# For the other parts


@internal
@view
def _check_member():
    if not self.isMember[msg.sender]:
        raw_revert(abi_encode(msg.sender, method_id=method_id("NotMember(address)")))


@internal
@view
def _check_running():
    if block.timestamp < self.paused_until:
        raw_revert(abi_encode(self.paused_until, method_id=method_id("PoolPaused(uint256)")))


@internal
@view
def _check_approvals(struct_hash: bytes32, approvals: DynArray[Bytes[65], MAX_MEMBERS]):
    digest: bytes32 = keccak256(concat(0x1901, self._domain(), struct_hash))
    previous: uint256 = 0
    for approval: Bytes[65] in approvals:
        signer: address = empty(address)
        if len(approval) == 65:
            signer = ecrecover(
                digest,
                convert(slice(approval, 64, 1), uint256),
                convert(slice(approval, 0, 32), uint256),
                convert(slice(approval, 32, 32), uint256),
            )
        if not self.isMember[signer]:
            raw_revert(abi_encode(signer, method_id=method_id("ApprovalOfStranger(address)")))
        number: uint256 = convert(signer, uint256)
        if number <= previous:
            raw_revert(method_id("ApprovalsUnsorted()"))
        previous = number
    needed: uint256 = convert(self.quorum, uint256)
    if len(approvals) < needed:
        raw_revert(abi_encode(len(approvals), needed, method_id=method_id("QuorumMissing(uint256,uint256)")))


# Internals


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION, chain.id, self))


@internal
@view
def _check_announced(kind: uint8):
    governance._check_owner()
    if self.announced.kind != kind:
        raw_revert(method_id("NotAnnounced()"))
    if block.timestamp < self.announced.executableAt:
        raw_revert(abi_encode(self.announced.executableAt, method_id=method_id("TooEarly(uint256)")))


@internal
@view
def _check_members(members: DynArray[address, MAX_MEMBERS], quorum: uint8):
    size: uint256 = len(members)
    needed: uint256 = convert(quorum, uint256)
    valid: bool = size != 0 and needed <= size and 3 * needed > 2 * size
    previous: uint256 = 0
    for member: address in members:
        number: uint256 = convert(member, uint256)
        if number <= previous or member == self:
            valid = False
        previous = number
    if not valid:
        raw_revert(method_id("InvalidMembers()"))


@internal
@view
def _check_parameters(parameters: Parameters):
    if (
        parameters.treasury == empty(address)
        or parameters.treasury == self
        or convert(parameters.operatorFee, uint256) + convert(parameters.treasuryFee, uint256) > MAX_FEES
        or parameters.maxYearlyGain > MAX_YEARLY_GAIN
        or parameters.maxLoss > MAX_LOSS
        or parameters.clusterBudget > MAX_CLUSTER_BUDGET
    ):
        raw_revert(method_id("InvalidParameters()"))


@internal
def _set_members(members: DynArray[address, MAX_MEMBERS], quorum: uint8):
    for member: address in self.council:
        self.isMember[member] = False
    for member: address in members:
        self.isMember[member] = True
    self.council = members
    self.quorum = quorum
    log MembersChanged(members=members, quorum=quorum)


@internal
def _set_parameters(parameters: Parameters):
    self.values = parameters
    log ParametersChanged(parameters=parameters)
