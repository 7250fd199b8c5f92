"""The JSON-RPC methods of the embedded chain: each reads its arguments strictly and answers as geth does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ._answers import (
    INVALID_PARAMS,
    REVERTED,
    SERVER_ERROR,
    UINT64,
    RpcError,
    data_hex,
    parse_address,
    parse_data,
    parse_hash,
    parse_quantity,
    quantity,
    revert_reason,
)
from ._blocks import Header, bloom_of, parse_header
from ._executor import BlockContext, Called, CallRequest
from ._logs import find_logs, log_json
from ._transactions import parse_transaction

if TYPE_CHECKING:
    from ._localchain import LocalChain

__all__ = ["METHODS"]

Method = Callable[["LocalChain", list[Any]], Any]
METHODS: dict[str, Method] = {}

# what a call may burn: geth's RPC gas cap
CALL_GAS = 50_000_000
# geth's estimateGasErrorRatio: the search stops when it is within 1.5%
_ESTIMATE_TOLERANCE = 0.015
_CALL_STIPEND = 2_300
_TRANSFER_GAS = 21_000
# one caller of a shared chain shall not empty its treasury for the others
_MOST_FUNDED_WEI = 10**21
_MOST_FEE_BLOCKS = 1_024
_TAGS = {"latest", "pending", "safe", "finalized"}


def _method(name: str, least: int = 0, most: int | None = None) -> Callable[[Method], Method]:
    def register(handler: Method) -> Method:
        def checked(chain: LocalChain, params: list[Any]) -> Any:
            while params and params[-1] is None:
                params.pop()
            if len(params) < least:
                raise RpcError(INVALID_PARAMS, f"missing value for required argument {len(params)}")
            limit = least if most is None else most
            if len(params) > limit:
                raise RpcError(INVALID_PARAMS, f"too many arguments, want at most {limit}")
            return handler(chain, params)

        METHODS[name] = checked
        return handler

    return register


# -- the chain itself -------------------------------------------------------------------------------------


@_method("web3_clientVersion")
def _client_version(chain: LocalChain, params: list[Any]) -> str:
    return "Tallystick-LocalChain/v1/py-evm"


@_method("net_version")
def _net_version(chain: LocalChain, params: list[Any]) -> str:
    return str(chain.chain_id)


@_method("eth_chainId")
def _chain_id(chain: LocalChain, params: list[Any]) -> str:
    return quantity(chain.chain_id)


@_method("eth_syncing")
def _syncing(chain: LocalChain, params: list[Any]) -> bool:
    return False


@_method("eth_accounts")
def _accounts(chain: LocalChain, params: list[Any]) -> list[str]:
    return []


@_method("eth_blockNumber")
def _block_number(chain: LocalChain, params: list[Any]) -> str:
    return quantity(chain.head().number)


# -- blocks -----------------------------------------------------------------------------------------------


def _header(chain: LocalChain, block: Any) -> Header | None:
    """Return the block that a tag, a number or an EIP-1898 object names, None when there is none."""
    if isinstance(block, dict):
        if "blockHash" in block:
            return chain.store.header_by_hash(parse_hash(block["blockHash"], "blockHash"))
        block = block.get("blockNumber")
    if isinstance(block, str) and block in _TAGS:
        return chain.head()
    if block == "earliest":
        return chain.store.header(0)
    return chain.store.header(parse_quantity(block, "block number", most=UINT64))


def _state_header(chain: LocalChain, params: list[Any], at: int) -> Header:
    header = _header(chain, params[at]) if len(params) > at else chain.head()
    if header is None:
        raise RpcError(SERVER_ERROR, "header not found")
    return header


def _raw_transactions(chain: LocalChain, number: int) -> list[bytes]:
    rows = chain.store.rows("SELECT raw FROM transactions WHERE block = ? ORDER BY position", (number,))
    return [bytes(raw) for (raw,) in rows]


def _block_json(chain: LocalChain, header: Header | None, full: Any) -> dict[str, Any] | None:
    if header is None:
        return None
    if not isinstance(full, bool):
        raise RpcError(INVALID_PARAMS, "invalid argument 1: true or false is expected")
    raws = _raw_transactions(chain, header.number)
    found = [parse_transaction(raw, chain_id=chain.chain_id) for raw in raws]
    transactions: list[Any] = [data_hex(one.hash) for one in found]
    if full:
        place = {"base_fee": header.base_fee, "block_hash": header.hash, "block_number": header.number}
        transactions = [one.as_json(**place, index=at) for at, one in enumerate(found)]  # type: ignore[arg-type]
    size = len(header.format()) + sum(len(raw) + 3 for raw in raws) + 9
    return header.as_json(size=size, transactions=transactions)


@_method("eth_getBlockByNumber", 1, 2)
def _block_by_number(chain: LocalChain, params: list[Any]) -> Any:
    return _block_json(chain, _header(chain, params[0]), params[1] if len(params) > 1 else False)


@_method("eth_getBlockByHash", 1, 2)
def _block_by_hash(chain: LocalChain, params: list[Any]) -> Any:
    header = chain.store.header_by_hash(parse_hash(params[0], "0"))
    return _block_json(chain, header, params[1] if len(params) > 1 else False)


def _count(chain: LocalChain, header: Header | None) -> str | None:
    if header is None:
        return None
    row = chain.store.row("SELECT count(*) FROM transactions WHERE block = ?", (header.number,))
    return quantity(row[0] if row else 0)


@_method("eth_getBlockTransactionCountByNumber", 1)
def _count_by_number(chain: LocalChain, params: list[Any]) -> Any:
    return _count(chain, _header(chain, params[0]))


@_method("eth_getBlockTransactionCountByHash", 1)
def _count_by_hash(chain: LocalChain, params: list[Any]) -> Any:
    return _count(chain, chain.store.header_by_hash(parse_hash(params[0], "0")))


@_method("eth_getUncleCountByBlockNumber", 1)
def _uncles_by_number(chain: LocalChain, params: list[Any]) -> Any:
    return None if _header(chain, params[0]) is None else "0x0"


@_method("eth_getUncleCountByBlockHash", 1)
def _uncles_by_hash(chain: LocalChain, params: list[Any]) -> Any:
    return None if chain.store.header_by_hash(parse_hash(params[0], "0")) is None else "0x0"


# -- transactions and receipts ----------------------------------------------------------------------------

_ROW = (
    "SELECT t.raw, t.block, t.position, b.header, t.succeeded, t.gas_used, t.cumulative_gas, t.created,"
    " t.first_log, t.logs FROM transactions t JOIN blocks b ON b.number = t.block WHERE "
)


def _transaction_json(chain: LocalChain, where: str, values: tuple[Any, ...]) -> Any:
    row = chain.store.row(_ROW + where, values)
    if row is None:
        return None
    header = parse_header(row[3])
    transaction = parse_transaction(bytes(row[0]), chain_id=chain.chain_id)
    return transaction.as_json(
        base_fee=header.base_fee, block_hash=header.hash, block_number=header.number, index=row[2]
    )


@_method("eth_getTransactionByHash", 1)
def _transaction_by_hash(chain: LocalChain, params: list[Any]) -> Any:
    return _transaction_json(chain, "t.hash = ?", (parse_hash(params[0], "0"),))


@_method("eth_getRawTransactionByHash", 1)
def _raw_by_hash(chain: LocalChain, params: list[Any]) -> Any:
    row = chain.store.row("SELECT raw FROM transactions WHERE hash = ?", (parse_hash(params[0], "0"),))
    return None if row is None else data_hex(bytes(row[0]))


def _by_place(chain: LocalChain, header: Header | None, index: Any) -> Any:
    position = parse_quantity(index, "1", most=UINT64 // 2)
    if header is None:
        return None
    return _transaction_json(chain, "t.block = ? AND t.position = ?", (header.number, position))


@_method("eth_getTransactionByBlockNumberAndIndex", 2)
def _transaction_by_number(chain: LocalChain, params: list[Any]) -> Any:
    return _by_place(chain, _header(chain, params[0]), params[1])


@_method("eth_getTransactionByBlockHashAndIndex", 2)
def _transaction_by_block_hash(chain: LocalChain, params: list[Any]) -> Any:
    return _by_place(chain, chain.store.header_by_hash(parse_hash(params[0], "0")), params[1])


def _receipt_json(chain: LocalChain, row: tuple[Any, ...]) -> dict[str, Any]:
    raw, number, position, encoded, succeeded, gas_used, cumulative, created, first_log, logs = row
    header = parse_header(encoded)
    transaction = parse_transaction(bytes(raw), chain_id=chain.chain_id)
    rows = chain.store.rows(
        "SELECT * FROM logs WHERE block = ? AND position >= ? AND position < ? ORDER BY position",
        (number, first_log, first_log + logs),
    )
    bloom = bloom_of(bytes(item) for found in rows for item in found[4:9] if item is not None)
    return {
        "transactionHash": data_hex(transaction.hash),
        "transactionIndex": quantity(position),
        "blockHash": data_hex(header.hash),
        "blockNumber": quantity(number),
        "from": data_hex(transaction.sender),
        "to": data_hex(transaction.to) if transaction.to else None,
        "cumulativeGasUsed": quantity(cumulative),
        "gasUsed": quantity(gas_used),
        "contractAddress": data_hex(bytes(created)) if created else None,
        "logs": [log_json(found, header.hash, header.timestamp) for found in rows],
        "logsBloom": data_hex(bloom),
        "status": quantity(succeeded),
        "type": quantity(transaction.type_id),
        "effectiveGasPrice": quantity(transaction.effective_gas_price(header.base_fee)),
    }


@_method("eth_getTransactionReceipt", 1)
def _receipt(chain: LocalChain, params: list[Any]) -> Any:
    row = chain.store.row(_ROW + "t.hash = ?", (parse_hash(params[0], "0"),))
    return None if row is None else _receipt_json(chain, row)


@_method("eth_getBlockReceipts", 1)
def _block_receipts(chain: LocalChain, params: list[Any]) -> Any:
    header = _header(chain, params[0])
    if header is None:
        return None
    rows = chain.store.rows(_ROW + "t.block = ? ORDER BY t.position", (header.number,))
    return [_receipt_json(chain, row) for row in rows]


@_method("eth_getLogs", 1)
def _logs(chain: LocalChain, params: list[Any]) -> Any:
    return find_logs(chain, params[0], lambda block: _header(chain, block))


# -- state ------------------------------------------------------------------------------------------------


@_method("eth_getTransactionCount", 1, 2)
def _nonce(chain: LocalChain, params: list[Any]) -> str:
    address = parse_address(params[0], "0")
    if len(params) > 1 and params[1] == "pending":
        return quantity(chain.pending_nonce(address))
    return quantity(chain.executor.nonce(address, state_root=_state_header(chain, params, 1).state_root))


@_method("eth_getBalance", 1, 2)
def _balance(chain: LocalChain, params: list[Any]) -> str:
    root = _state_header(chain, params, 1).state_root
    return quantity(chain.executor.balance(parse_address(params[0], "0"), state_root=root))


@_method("eth_getCode", 1, 2)
def _code(chain: LocalChain, params: list[Any]) -> str:
    root = _state_header(chain, params, 1).state_root
    return data_hex(chain.executor.code(parse_address(params[0], "0"), state_root=root))


@_method("eth_getStorageAt", 2, 3)
def _storage(chain: LocalChain, params: list[Any]) -> str:
    root = _state_header(chain, params, 2).state_root
    slot = parse_quantity(params[1], "1")
    return data_hex(chain.executor.storage(parse_address(params[0], "0"), slot, state_root=root))


# -- calls and fees ---------------------------------------------------------------------------------------


def _request(chain: LocalChain, said: Any, most_gas: int) -> CallRequest:
    if not isinstance(said, dict):
        raise RpcError(INVALID_PARAMS, "invalid argument 0: an object is expected")
    data, given = said.get("data"), said.get("input")
    if data is not None and given is not None and data != given:
        raise RpcError(INVALID_PARAMS, 'both "data" and "input" are set and not equal')
    fee = said.get("maxFeePerGas", said.get("gasPrice"))
    gas = said.get("gas")
    if said.get("chainId") is not None and parse_quantity(said["chainId"], "chainId") != chain.chain_id:
        raise RpcError(INVALID_PARAMS, f"chainId does not match node's (have={said['chainId']})")
    return CallRequest(
        sender=parse_address(said["from"], "from") if said.get("from") else bytes(20),
        to=parse_address(said["to"], "to") if said.get("to") else b"",
        data=parse_data(given if given is not None else data or "0x", "data"),
        value=parse_quantity(said["value"], "value") if said.get("value") else 0,
        gas=min(parse_quantity(gas, "gas", most=UINT64), most_gas) if gas else most_gas,
        fee=(parse_quantity(fee, "gasPrice") or None) if fee else None,
        access_list=_access_list(said.get("accessList") or []),
    )


def _access_list(said: Any) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    if not isinstance(said, list):
        raise RpcError(INVALID_PARAMS, "invalid argument accessList: a list is expected")
    found = []
    for entry in said:
        keys = entry.get("storageKeys") or [] if isinstance(entry, dict) else None
        if not isinstance(keys, list):
            raise RpcError(INVALID_PARAMS, "invalid argument accessList: objects are expected")
        slots = tuple(int.from_bytes(parse_hash(key, "storageKeys"), "big") for key in keys)
        found.append((parse_address(entry.get("address"), "accessList"), slots))
    return tuple(found)


def _context(chain: LocalChain, params: list[Any]) -> tuple[bytes, BlockContext]:
    header = _state_header(chain, params, 1)
    pending = len(params) > 1 and params[1] == "pending"
    return header.state_root, chain.next_context() if pending else chain.context_of(header)


def _reverted(called: Called) -> RpcError:
    if not called.reverted:
        return RpcError(SERVER_ERROR, _FAILURES.get(called.reason, called.reason))
    reason = revert_reason(called.output)
    message = f"execution reverted: {reason}" if reason else "execution reverted"
    return RpcError(REVERTED, message, data=data_hex(called.output))


# the virtual machine's failures, as geth words them
_FAILURES = {
    "OutOfGas": "out of gas",
    "InvalidInstruction": "invalid opcode",
    "InvalidJumpDestination": "invalid jump destination",
    "InsufficientStack": "stack underflow",
    "FullStack": "stack limit reached 1024 (1023)",
    "WriteProtection": "write protection",
    "InsufficientFunds": "insufficient balance for transfer",
    "ContractCreationCollision": "contract address collision",
}


@_method("eth_call", 1, 2)
def _call(chain: LocalChain, params: list[Any]) -> str:
    root, context = _context(chain, params)
    called = chain.executor.call(_request(chain, params[0], CALL_GAS), state_root=root, block=context)
    if not called.succeeded:
        raise _reverted(called)
    return data_hex(called.output)


@_method("eth_estimateGas", 1, 2)
def _estimate_gas(chain: LocalChain, params: list[Any]) -> str:
    """Search the least gas with which the call succeeds, as geth does."""
    root, context = _context(chain, params)
    request = _request(chain, params[0], context.gas_limit)
    high = request.gas
    if request.fee:
        balance = chain.executor.balance(request.sender, state_root=root)
        high = min(high, max(balance - request.value, 0) // request.fee)

    def attempt(gas: int) -> Called:
        return chain.executor.call(replace(request, gas=gas), state_root=root, block=context)

    plain = request.to and not request.data and not request.access_list
    if plain and high >= _TRANSFER_GAS and not chain.executor.code(request.to, state_root=root):
        high = _TRANSFER_GAS
    try:
        first = attempt(high)
    except RpcError as error:
        if "intrinsic gas too low" in error.message:
            raise RpcError(SERVER_ERROR, f"gas required exceeds allowance ({high})") from error
        raise
    if not first.succeeded:
        if first.reason == "OutOfGas":
            raise RpcError(SERVER_ERROR, f"gas required exceeds allowance ({high})")
        raise _reverted(first)
    return quantity(_search(attempt, first, high))


def _search(attempt: Callable[[int], Called], first: Called, high: int) -> int:
    low = first.gas_used - 1
    # what was used, what was paid back, the stipend, and the 64th that a call cannot pass on
    guess = (first.gas_used + first.gas_refunded + _CALL_STIPEND) * 64 // 63
    if guess < high:
        if attempt(guess).succeeded:
            high = guess
        else:
            low = guess
    while low + 1 < high and (high - low) / high > _ESTIMATE_TOLERANCE:
        middle = min((low + high) // 2, low * 2)
        if _fits(attempt, middle):
            high = middle
        else:
            low = middle
    return high


def _fits(attempt: Callable[[int], Called], gas: int) -> bool:
    try:
        return attempt(gas).succeeded
    except RpcError:
        return False


@_method("eth_gasPrice")
def _gas_price(chain: LocalChain, params: list[Any]) -> str:
    return quantity(chain.head().base_fee)


@_method("eth_maxPriorityFeePerGas")
def _priority_fee(chain: LocalChain, params: list[Any]) -> str:
    return "0x0"


@_method("eth_feeHistory", 2, 3)
def _fee_history(chain: LocalChain, params: list[Any]) -> dict[str, Any]:
    said = params[0]
    count = said if isinstance(said, int) else parse_quantity(said, "0", most=UINT64)
    newest = _header(chain, params[1])
    percentiles = params[2] if len(params) > 2 else []
    if newest is None:
        raise RpcError(SERVER_ERROR, "request beyond head block")
    if not isinstance(percentiles, list) or not all(isinstance(p, int | float) for p in percentiles):
        raise RpcError(INVALID_PARAMS, "invalid argument 2: a list of numbers is expected")
    count = max(0, min(count, _MOST_FEE_BLOCKS, newest.number + 1))
    oldest = newest.number - count + 1
    headers = [
        header for number in range(oldest, newest.number + 1) if (header := chain.store.header(number))
    ]
    answer = {
        "oldestBlock": quantity(oldest if count else 0),
        "baseFeePerGas": [quantity(h.base_fee) for h in [*headers, *headers[-1:]]],
        "gasUsedRatio": [h.gas_used / h.gas_limit for h in headers],
    }
    if percentiles:
        # nobody bids for room on a chain that seals at once
        answer["reward"] = [["0x0"] * len(percentiles) for _ in headers]
    return answer


# -- sending ----------------------------------------------------------------------------------------------


@_method("eth_sendRawTransaction", 1)
def _send(chain: LocalChain, params: list[Any]) -> str:
    return data_hex(chain.send(parse_data(params[0], "0")))


@_method("tallystick_fund", 1, 2)
def _fund(chain: LocalChain, params: list[Any]) -> str:
    address = data_hex(parse_address(params[0], "0"))
    if len(params) > 1:
        return data_hex(chain.fund(address, parse_quantity(params[1], "1", most=_MOST_FUNDED_WEI)))
    return data_hex(chain.fund(address))
