"""What tokens of payees cost: one member's answers, a bank's look-ups among three in one process, sizes of messages.

The members share this machine's cores, so a look-up here pays for all three banks' work; over a network each pays its
own. Peers in the same run: the same evaluation without its proof, and one Ed25519 signature check by the same library.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rows import Row

BATCH = 64
PATIENCE_MS = 15  # how long a decision waits for tokens, by default


def fraud_lookup(scale: float = 1.0) -> list[Row]:
    """Measure evaluations, look-ups and messages.

    Args:
        scale: below 1 repeats less often.
    """
    times = max(5, int(30 * scale))
    with tempfile.TemporaryDirectory(dir=os.environ.get("TALLYSTICK_BENCH_DIR")) as home:
        nodes, members = _members(Path(home))
        try:
            return [*_evaluations(times), *_lookups(members, times), *_messages(members)]
        finally:
            for member in members:
                member.close()
            for node in nodes:
                node.close()


def _members(home: Path) -> tuple[list[Any], list[Any]]:
    from tallystick.apps.fraud import APP
    from tallystick.apps.fraud.sharing import Limits, share_in_process
    from tallystick.node import CardFile, Node, format_card_file, make_policy
    from tallystick.proof import STANDARD_KINDS, system_clock

    kinds = STANDARD_KINDS.extended(APP.kinds)
    nodes = [
        Node.init(
            home / name,
            name=name,
            passphrase="a bench",
            kinds=kinds,
            scrypt_n=2,
            heads=home / "heads",
        )
        for name in ("a", "b", "c")
    ]
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.import_card(format_card_file(other.party.cards))
    policy = make_policy("a bench", [CardFile(node.party.cards) for node in nodes])
    now = system_clock()
    limits = Limits(per_second=1_000_000, burst=10_000_000)
    return nodes, share_in_process(
        nodes, policy=policy, since=now - 1, until=now + 86_400_000_000, limits=limits, kept=True
    )


def _evaluations(times: int) -> list[Row]:
    """CPU of one member for one point: answered with its proof, checked by the asker."""
    from nacl.signing import SigningKey

    from tallystick.apps.fraud.sharing._group import draw_scalar, multiply, multiply_base
    from tallystick.apps.fraud.sharing._tokens import blind, evaluate, verify_evaluation

    epoch, share = bytes(32), draw_scalar(os.urandom)
    commitment = multiply_base(share)
    points = [blind(f"payee {n}", epoch=epoch, randomness=os.urandom).point for n in range(BATCH)]
    answers, proof = evaluate(share, points, context=epoch, randomness=os.urandom)
    key = SigningKey(os.urandom(32))
    signed, public = key.sign(b"m" * 300), key.verify_key
    signature_us = 1e6 * _cpu_s(lambda: [public.verify(signed) for _ in range(BATCH)], times) / BATCH
    plain_us = 1e6 * _cpu_s(lambda: [multiply(share, point) for point in points], times) / BATCH

    def batch() -> object:
        return evaluate(share, points, context=epoch, randomness=os.urandom)

    def single() -> object:
        return evaluate(share, points[:1], context=epoch, randomness=os.urandom)

    def check() -> object:
        return verify_evaluation(commitment, points, answers, proof, context=epoch)

    peers = {"without proof": plain_us, "Ed25519 verify": signature_us}
    return [
        Row("fraud-lookup/answer", 1e6 * _cpu_s(batch, times) / BATCH, "us CPU", 500, "<=", peers),
        Row("fraud-lookup/answer alone", 1e6 * _cpu_s(single, times), "us CPU", 1_500, "<=", peers),
        Row("fraud-lookup/check", 1e6 * _cpu_s(check, times) / BATCH, "us CPU", 600, "<=", peers),
    ]


def _lookups(members: list[Any], times: int) -> list[Row]:
    """Tokens a second among three banks, statements included; and one new payee in the way of a decision."""
    from tallystick.apps.fraud.payments import Payment
    from tallystick.apps.fraud.sharing import SharedSignals

    fresh = iter(range(100_000_000))
    tokens = members[0].tokens
    began, worked, count = time.perf_counter(), time.process_time(), times * BATCH
    for _ in range(times):
        tokens.ask([f"payee {next(fresh)}" for _ in range(BATCH)], purpose="payment")
    by_clock, by_cpu = count / (time.perf_counter() - began), count / (time.process_time() - worked)
    alone, worked = list[float](), time.process_time()
    for _ in range(times * 5):
        began = time.perf_counter()
        tokens.ask([f"payee {next(fresh)}"], purpose="payment")
        alone.append(1e3 * (time.perf_counter() - began))
    cpu_ms = 1e3 * (time.process_time() - worked) / len(alone)
    signals = SharedSignals(members[0], patience_s=None)
    now = members[0].clock()
    known = [
        Payment(f"p{n}", now, 100, "EUR", "c", f"payee {n % 256}", channel="instant") for n in range(1024)
    ]
    signals.look(known)
    look_us = 1e6 * _cpu_s(lambda: signals.look(known), times) / len(known)
    signals.close()
    p99 = sorted(alone)[int(len(alone) * 0.99)]
    return [
        Row("fraud-lookup/tokens of 64, all banks", by_cpu, "1/s CPU", 300, ">=", {"by the clock": by_clock}),
        Row("fraud-lookup/one new payee, all banks", cpu_ms, "ms CPU", 6, "<=", {}),
        Row("fraud-lookup/one new payee p50", median(alone), "ms", 5, "<=", {}),
        Row("fraud-lookup/one new payee p99", p99, "ms", PATIENCE_MS, "<=", {}),
        Row("fraud-lookup/known payee", look_us, "us CPU", 15, "<=", {}),
    ]


def _messages(members: list[Any]) -> list[Row]:
    """Bytes between two banks, and of a report."""
    from tallystick.apps.fraud.sharing._payees import DISCLOSED
    from tallystick.apps.fraud.sharing._requests import format_request
    from tallystick.apps.fraud.sharing._tokens import blind

    asker, member = members[0], members[1]
    epoch = asker.tokens.epoch

    def sizes(count: int) -> tuple[int, int]:
        points = [blind(f"m {n}", epoch=epoch.id, randomness=os.urandom).point for n in range(count)]
        request = format_request(
            points,
            signer=asker.bank.party.signer("author"),
            epoch=epoch,
            origin=member.bank.origin,
            purpose="payment",
            at=asker.clock(),
            randomness=os.urandom,
        )
        return len(request), len(member.evaluator.evaluate(request, epoch=epoch.number))

    (one, one_answer), (many, many_answer) = sizes(1), sizes(BATCH)
    word = asker.report("m 1", customer="c")
    receipt = asker.bank.receipt(word.statement, disclose=DISCLOSED["payee.reported"]).format()
    return [
        Row("fraud-lookup/request of 64", many, "B", 8_192, "<=", {"of 1": one}),
        Row("fraud-lookup/answer of 64", many_answer, "B", 8_192, "<=", {"of 1": one_answer}),
        Row("fraud-lookup/report", len(receipt), "B", 8_192, "<=", {}),
    ]


def _cpu_s(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return median(taken)
