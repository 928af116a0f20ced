# pragma version 0.4.3
"""
@title Shares of the pool: an ERC-20 token
@license Apache-2.0
@dev A share is a part of all the pool owns. Shares that wait in the withdrawal queue belong to the pool until they are
     burnt, so nobody may send shares to it: they would wait for ever.
"""
from ethereum.ercs import IERC20

implements: IERC20


event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256


event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256


name: public(constant(String[14])) = "SSV Pool Share"
symbol: public(constant(String[6])) = "sspETH"
decimals: public(constant(uint8)) = 18

totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@external
@nonreentrant
def transfer(receiver: address, amount: uint256) -> bool:
    """
    @notice Gives shares of the caller to a receiver.
    """
    self._check_receiver(receiver)
    self._move(msg.sender, receiver, amount)
    return True


@external
@nonreentrant
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Lets a spender move shares of the caller; the largest number means without limit.
    """
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, amount=amount)
    return True


@external
@nonreentrant
def transferFrom(owner: address, receiver: address, amount: uint256) -> bool:
    """
    @notice Gives shares of an owner, who has allowed it, to a receiver.
    """
    self._check_receiver(receiver)
    allowed: uint256 = self.allowance[owner][msg.sender]
    if allowed != max_value(uint256):
        if amount > allowed:
            raw_revert(abi_encode(allowed, amount, method_id=method_id("InsufficientAllowance(uint256,uint256)")))
        self.allowance[owner][msg.sender] = allowed - amount
        log Approval(owner=owner, spender=msg.sender, amount=allowed - amount)
    self._move(owner, receiver, amount)
    return True


@internal
@view
def _check_receiver(receiver: address):
    if receiver == empty(address) or receiver == self:
        raw_revert(abi_encode(receiver, method_id=method_id("InvalidReceiver(address)")))


@internal
def _move(owner: address, receiver: address, amount: uint256):
    balance: uint256 = self.balanceOf[owner]
    if amount > balance:
        raw_revert(abi_encode(balance, amount, method_id=method_id("InsufficientShares(uint256,uint256)")))
    self.balanceOf[owner] = balance - amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=owner, receiver=receiver, amount=amount)


@internal
def _mint(receiver: address, amount: uint256):
    self.totalSupply += amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=empty(address), receiver=receiver, amount=amount)


@internal
def _burn_queued(amount: uint256):
    self.totalSupply -= amount
    self.balanceOf[self] -= amount
    log Transfer(sender=self, receiver=empty(address), amount=amount)
