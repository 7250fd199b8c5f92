"""py-evm's virtual machine with a quicker inner loop: the same rules, a third of the time.

* The instructions that contracts spend their steps on (stack, arithmetic, memory, jumps, the SHA-256 precompile)
  run inside one loop on plain integers. Every other instruction is py-evm's own function, untouched.
* Gas of the inlined instructions is held against what is left before anything can be seen of it: at a jump, before
  memory grows and before any of py-evm's functions. Between those nothing leaves the frame, and running out of gas
  undoes the frame whichever instruction it happens at.
* Tests hold this loop against py-evm's own, on random programs and on the contracts.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

from eth.exceptions import (
    FullStack,
    Halt,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfGas,
)
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.logic.invalid import InvalidOpcode

__all__ = ["QuickComputation"]

_WORD = 2**256
_MOST = _WORD - 1
_ADDRESS = 2**160 - 1
_STACK_LIMIT = 1_024
_DEPTH_LIMIT = 1_024
_STATICCALL_GAS = 100  # EIP-2929: a precompile is always warm
_SHA256_GAS, _SHA256_WORD_GAS = 60, 12

# what each inlined instruction costs before its operands are seen; the others charge for themselves
_COST = [0] * 256
for _op in (0x01, 0x03, 0x10, 0x11, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1B, 0x1C, 0x35, 0x51, 0x52):
    _COST[_op] = 3
for _op in (0x36, 0x50, 0x5F):
    _COST[_op] = 2
_COST[0x02] = 5
_COST[0x56], _COST[0x57], _COST[0x5B] = 8, 10, 1
for _op in range(0x60, 0xA0):
    _COST[_op] = 3


@lru_cache(maxsize=64)
def _decoded(code: bytes) -> tuple[dict[int, int], frozenset[int]]:
    """Return the numbers that PUSH instructions carry, by position, and where a jump may land."""
    pushes: dict[int, int] = {}
    landings = []
    position, size = 0, len(code)
    while position < size:
        op = code[position]
        if 0x5F <= op <= 0x7F:
            width = op - 0x5F
            # bytes behind the end of the code read as zero
            carried = code[position + 1 : position + 1 + width].ljust(width, b"\0")
            pushes[position] = int.from_bytes(carried, "big")
            position += width
        elif op == 0x5B:
            landings.append(position)
        position += 1
    return pushes, frozenset(landings)


class QuickComputation(CancunComputation):  # type: ignore[misc]
    """Cancun's rules, run by the loop below."""

    @classmethod
    def apply_computation(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        with cls(state, message, transaction_context) as computation:
            if computation.is_origin_computation:
                computation.contracts_created = []
                if message.is_create:
                    cls.consume_initcode_gas_cost(computation)
            if parent_computation is not None:
                computation.contracts_created = parent_computation.contracts_created
            if message.is_create:
                computation.contracts_created.append(message.storage_address)
            precompile = computation.precompiles.get(message.code_address)
            if precompile is not None:
                precompile(computation)
            else:
                try:
                    _run(computation)
                except IndexError as error:
                    raise InsufficientStack("an instruction found too few items on the stack") from error
        return computation


def _grown(held: int, end: int, gas: int) -> int:
    """Return the gas left after memory of so many bytes has grown to hold ``end``."""
    before, after = held // 32, (end + 31) // 32
    gas -= 3 * (after - before) + after * after // 512 - before * before // 512
    if gas < 0:
        raise OutOfGas("Out of gas: expanding memory")
    return gas


def _run(computation: Any) -> None:  # noqa: C901 - one loop: a call for each instruction is what it saves
    code = bytes(computation.msg.code)
    pushes, landings = _decoded(code)
    stack: list[Any] = computation._stack.values
    push, pop = stack.append, stack.pop
    meter, memory, stream = computation._gas_meter, computation._memory, computation.code
    opcodes, costs, number = computation.opcodes, _COST, int.from_bytes
    data, held = computation.msg.data_as_bytes, memory._bytes
    position, size, gas = 0, len(code), meter.gas_remaining
    while True:
        op = code[position] if position < size else 0
        gas -= costs[op]
        position += 1
        if op >= 0x5F:
            if op < 0x80:  # PUSH0 to PUSH32
                push(pushes[position - 1])
                position += op - 0x5F
                if len(stack) > _STACK_LIMIT:
                    raise FullStack("Stack limit reached")
                continue
            if op < 0x90:  # DUP1 to DUP16
                push(stack[0x7F - op])
                if len(stack) > _STACK_LIMIT:
                    raise FullStack("Stack limit reached")
                continue
            if op < 0xA0:  # SWAP1 to SWAP16
                at = 0x8E - op
                stack[-1], stack[at] = stack[at], stack[-1]
                continue
            if op == 0xFA and _is_sha256(stack, computation):  # STATICCALL
                gas = _sha256(computation, stack, gas)
                held = memory._bytes
                continue
        elif op >= 0x50:
            if op == 0x52:  # MSTORE
                start, value = pop(), pop()
                if type(start) is bytes:
                    start = number(start, "big")
                end = start + 32
                if end > len(held):
                    gas = _grown(len(held), end, gas)
                    memory.extend(start, 32)
                    held = memory._bytes
                held[start:end] = value.to_bytes(32, "big") if type(value) is int else value.rjust(32, b"\0")
                continue
            if op == 0x51:  # MLOAD
                start = pop()
                if type(start) is bytes:
                    start = number(start, "big")
                end = start + 32
                if end > len(held):
                    gas = _grown(len(held), end, gas)
                    memory.extend(start, 32)
                    held = memory._bytes
                push(bytes(held[start:end]))
                continue
            if op == 0x5B:  # JUMPDEST
                continue
            if op == 0x57 or op == 0x56:  # JUMPI, JUMP
                target = pop()
                if op == 0x57:
                    wanted = pop()
                    if not (wanted if type(wanted) is int else any(wanted)):
                        continue
                if type(target) is bytes:
                    target = number(target, "big")
                if target not in landings:
                    if target < size and code[target] == 0x5B:
                        raise InvalidInstruction("Jump resulted in invalid instruction")
                    raise InvalidJumpDestination("Invalid Jump Destination")
                if gas < 0:
                    raise OutOfGas("Out of gas: at a jump")
                position = target
                continue
            if op == 0x50:  # POP
                pop()
                continue
        elif costs[op]:
            if op == 0x15 or op == 0x19:  # ISZERO, NOT
                one = pop()
                if type(one) is bytes:
                    one = number(one, "big")
                push((0 if one else 1) if op == 0x15 else _MOST ^ one)
                continue
            if op == 0x35:  # CALLDATALOAD
                start = pop()
                if type(start) is bytes:
                    start = number(start, "big")
                push(data[start : start + 32].ljust(32, b"\0") if start < len(data) else 0)
                continue
            if op == 0x36:  # CALLDATASIZE
                push(len(data))
                if len(stack) > _STACK_LIMIT:
                    raise FullStack("Stack limit reached")
                continue
            one, two = pop(), pop()
            if type(one) is bytes:
                one = number(one, "big")
            if type(two) is bytes:
                two = number(two, "big")
            if op == 0x01:
                push((one + two) & _MOST)
            elif op == 0x16:
                push(one & two)
            elif op == 0x03:
                push((one - two) & _MOST)
            elif op == 0x10:
                push(1 if one < two else 0)
            elif op == 0x11:
                push(1 if one > two else 0)
            elif op == 0x14:
                push(1 if one == two else 0)
            elif op == 0x1C:
                push(two >> one if one < 256 else 0)
            elif op == 0x1B:
                push(two << one & _MOST if one < 256 else 0)
            elif op == 0x17:
                push(one | two)
            elif op == 0x18:
                push(one ^ two)
            else:
                push(one * two & _MOST)
            continue
        # everything else is py-evm's own, which must see the true gas and the true place
        if gas < 0:
            raise OutOfGas("Out of gas: before an instruction")
        meter.gas_remaining = gas
        stream.program_counter = position
        try:
            (opcodes.get(op) or InvalidOpcode(op))(computation=computation)
        except Halt:
            return
        gas = meter.gas_remaining
        held = memory._bytes


def _is_sha256(stack: list[Any], computation: Any) -> bool:
    target = stack[-2]
    if type(target) is bytes:
        target = int.from_bytes(target, "big")
    return bool(target & _ADDRESS == 2 and computation.msg.depth < _DEPTH_LIMIT)


def _sha256(computation: Any, stack: list[Any], gas: int) -> int:
    """Call the SHA-256 precompile without a frame of its own; the gas that is left comes back."""
    operands = [stack.pop() for _ in range(6)]
    asked, _, start, size, out, out_size = (
        one if type(one) is int else int.from_bytes(one, "big") for one in operands
    )
    memory = computation._memory
    for begin, length in ((start, size), (out, out_size)):
        if length and begin + length > len(memory):
            gas = _grown(len(memory), begin + length, gas)
            memory.extend(begin, length)
    gas -= _STATICCALL_GAS
    if gas < 0:
        raise OutOfGas("Out of gas: before a call")
    # EIP-150: a 64th stays behind
    given = min(asked, gas - gas // 64)
    cost = _SHA256_GAS + _SHA256_WORD_GAS * ((size + 31) // 32)
    if cost > given:
        # the precompile runs dry: what it was given is gone, and it answers nothing
        computation.return_data = b""
        stack.append(0)
        return gas - given
    digest = sha256(memory._bytes[start : start + size]).digest()
    computation.return_data = digest
    written = min(out_size, 32)
    memory._bytes[out : out + written] = digest[:written]
    stack.append(1)
    return gas - cost
