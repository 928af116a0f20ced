# pragma version 0.4.3
"""
@title Who may change the network's parameters, in two steps
@license Apache-2.0
"""

event OwnershipTransferStarted:
    previousOwner: indexed(address)
    newOwner: indexed(address)


event OwnershipTransferred:
    previousOwner: indexed(address)
    newOwner: indexed(address)


owner: public(address)
pendingOwner: public(address)


@deploy
def __init__():
    self.owner = msg.sender
    log OwnershipTransferred(previousOwner=empty(address), newOwner=msg.sender)


@external
def transferOwnership(newOwner: address):
    """
    @notice Offers the ownership; nothing changes until the new owner takes it. The zero address withdraws an offer.
    """
    self._check_owner()
    self.pendingOwner = newOwner
    log OwnershipTransferStarted(previousOwner=self.owner, newOwner=newOwner)


@external
def acceptOwnership():
    """
    @notice Takes the ownership that was offered to the caller.
    """
    if msg.sender != self.pendingOwner:
        raw_revert(
            abi_encode(msg.sender, self.pendingOwner, method_id=method_id("CallerNotOwnerWithData(address,address)"))
        )
    log OwnershipTransferred(previousOwner=self.owner, newOwner=msg.sender)
    self.owner = msg.sender
    self.pendingOwner = empty(address)


@internal
@view
def _check_owner():
    if msg.sender != self.owner:
        raw_revert(abi_encode(msg.sender, self.owner, method_id=method_id("CallerNotOwnerWithData(address,address)")))
