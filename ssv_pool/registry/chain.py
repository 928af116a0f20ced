"""An execution node asked on behalf of a person: the connection, what web3 raises turned into sentences, first checks.

Whatever goes wrong between a command and a contract ends here as one line that says what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from eth_typing import ChecksumAddress
from eth_utils.address import is_address, is_checksum_address, to_checksum_address
from web3 import HTTPProvider, Web3
from web3.contract.contract import ContractFunction
from web3.exceptions import (
    BadFunctionCallOutput,
    BadResponseFormat,
    ContractLogicError,
    MismatchedABI,
    TimeExhausted,
    Web3Exception,
    Web3RPCError,
)
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from ssv_pool.errors import ConfigError, SsvPoolError, UnavailableError
from ssv_pool.registry.artifacts import Abi
from ssv_pool.registry.reverts import describe_revert

REQUEST_SECONDS: Final = 30.0
"""Time limit of one request to the execution node."""


class ContractError(SsvPoolError):
    """A contract refused a call, or the node refused its transaction."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name
        """Name of the contract's custom error, empty when it was none."""


def connect(url: str) -> Web3:
    """A connection to an execution node; nothing is asked yet.

    Raises:
        ConfigError: not an HTTP address.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("execution node: expected an address that begins with http:// or https://")
    # A connection that breaks is tried once more; a node that is silent for so long is not asked five times.
    again = ExceptionRetryConfiguration(errors=(requests.ConnectionError,), retries=2)
    return Web3(HTTPProvider(url, request_kwargs={"timeout": REQUEST_SECONDS}, exception_retry_configuration=again))


def checksummed(text: str, name: str) -> ChecksumAddress:
    """An address in EIP-55 mixed case.

    Args:
        text: 0x and 40 hex digits, of one case or with the right checksum.
        name: what it is, to begin the error text with.

    Raises:
        ConfigError: no address, or mistyped.
    """
    if not text.startswith("0x") or not is_address(text):
        digits = text.removeprefix("0x")
        if len(digits) == 40 and set(digits.lower()) <= set("0123456789abcdef") and text.startswith("0x"):
            raise ConfigError(f"{name}: {text}, its mixed case is not the address's EIP-55 checksum: check each digit")
        raise ConfigError(f"{name}: {text[:80]!r}, expected an address: 0x and 40 hex digits")
    if text[2:] not in {text[2:].lower(), text[2:].upper()} and not is_checksum_address(text):
        raise ConfigError(f"{name}: {text}, its mixed case is not the address's EIP-55 checksum: check each digit")
    return to_checksum_address(text)


@contextmanager
def translated(w3: Web3, action: str, timeout: float = REQUEST_SECONDS) -> Iterator[None]:
    """Turn what web3 raises into this package's errors, with what was being done in front.

    Args:
        w3: the connection, to name the node by.
        action: what is being done, such as "read operator 7".
        timeout: seconds that a transaction is waited for, for the text.

    Raises:
        ContractError: the contract or the node refuses, or the contract's answer is not what its ABI says.
        UnavailableError: the node does not answer, or a transaction was not mined in time.
    """
    try:
        yield
    except SsvPoolError:
        raise
    except ContractLogicError as error:
        raise refusal(action, error) from error
    except TimeExhausted as error:
        raise UnavailableError(f"{action}: not mined within {timeout:g} s") from error
    except (BadFunctionCallOutput, MismatchedABI) as error:
        raise ContractError(f"{action}: the contract's answer is not what the ABI says: check its address") from error
    except BadResponseFormat:
        raise _not_a_node(w3, action) from None
    except Web3Exception as error:
        raise ContractError(f"{action}: {reason(error)}") from error
    except OSError as error:
        # The node's address may hold an access key: only its host is named, and the cause is cut off.
        status = getattr(getattr(error, "response", None), "status_code", None)
        said = "does not answer" if status is None else f"answers with HTTP status {status}: check its address and key"
        raise UnavailableError(f"{action}: execution node {host_of(w3)} {said}") from None
    except (ValueError, TypeError, LookupError):
        # web3 takes apart whatever comes; of something else than a node's answer this is left.
        raise _not_a_node(w3, action) from None


def _not_a_node(w3: Web3, action: str) -> UnavailableError:
    return UnavailableError(
        f"{action}: {host_of(w3)} answers something else than JSON-RPC: check the execution node's address"
    )


def refusal(action: str, error: ContractLogicError) -> ContractError:
    """A contract's refusal as a sentence."""
    data = error.data if isinstance(error.data, str) and error.data.startswith("0x") else "0x"
    try:
        revert = describe_revert(bytes.fromhex(data[2:]))
    except ValueError:
        return ContractError(f"{action}: the contract refused it, and the node's answer about it is damaged")
    return ContractError(f"{action}: {revert.sentence}", revert.name)


def reason(error: Web3Exception) -> str:
    """What the node said, in one line without web3's own words."""
    if isinstance(error, Web3RPCError) and error.rpc_response is not None:
        answer: Any = error.rpc_response.get("error")
        if isinstance(answer, dict) and answer.get("message"):
            return f"the node answers: {str(answer['message'])[:300]}"
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def host_of(w3: Web3) -> str:
    """Host and port of the node, without the access key that its address may hold."""
    provider = w3.provider
    if isinstance(provider, HTTPProvider):
        return urlsplit(str(provider.endpoint_uri)).netloc.rpartition("@")[2]
    return type(provider).__name__


def read(w3: Web3, action: str, call: ContractFunction, *, block: int | None = None) -> Any:
    """The answer of a view call.

    Args:
        w3: the connection.
        action: what is being read, for the error text.
        call: the bound function.
        block: number of the block whose state is asked; the latest by default.

    Raises:
        ContractError: the call was refused, or the answer does not fit the ABI.
        UnavailableError: the node does not answer.
    """
    with translated(w3, action):
        return call.call(block_identifier="latest" if block is None else block)


def check_chain(w3: Web3, expected: int) -> None:
    """Make sure that the node follows the chain that is meant.

    Raises:
        ConfigError: it follows another one.
        UnavailableError: it does not answer.
    """
    with translated(w3, "ask for the chain id"):
        found = w3.eth.chain_id
    if found != expected:
        raise ConfigError(
            f"execution node {host_of(w3)} follows chain {found}, expected chain {expected}: "
            "name a node of that chain or the other chain id"
        )


def check_code(w3: Web3, address: str, what: str) -> ChecksumAddress:
    """Make sure that there is a contract at an address.

    Args:
        w3: the connection.
        address: the contract's.
        what: what it is to be, such as "registry".

    Raises:
        ConfigError: not an address.
        ContractError: there is no contract on this chain.
        UnavailableError: the node does not answer.
    """
    place = checksummed(address, f"{what} address")
    with translated(w3, f"read the {what}'s code"):
        code = w3.eth.get_code(place)
        chain = w3.eth.chain_id
    if not code:
        raise ContractError(f"no contract at {place} on chain {chain}: check the {what} address")
    return place


def check_contract(w3: Web3, address: str, abi: Abi, what: str, *, views: tuple[str, ...]) -> None:
    """Make sure that there is a contract at an address and that it is the kind that is meant.

    Args:
        w3: the connection.
        address: the contract's.
        abi: its ABI.
        what: what it is to be, such as "staking pool".
        views: names of view functions without arguments that such a contract answers.

    Raises:
        ConfigError: not an address.
        ContractError: no contract, or one of another kind.
        UnavailableError: the node does not answer.
    """
    place = check_code(w3, address, what)
    contract = w3.eth.contract(address=place, abi=abi)
    for view in views:
        try:
            read(w3, view, contract.get_function_by_name(view)())
        except ContractError as error:
            raise ContractError(
                f"the contract at {place} is no {what}: it does not answer {view}(), check the {what} address"
            ) from error
