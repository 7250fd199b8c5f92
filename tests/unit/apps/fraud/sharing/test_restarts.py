from __future__ import annotations

import random

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, SECOND, START, Banks

from tallystick.apps.fraud.sharing import LocalLink, Member, connect
from tallystick.errors import OverloadedError


def restarted(banks: Banks, place: int) -> Member:
    """Make a member again, as a new process would; the old one is left as a crash leaves it."""
    node = banks.nodes[place]
    member = Member(node, policy=banks.policy, directory=node.workspace.path / "sharing", clock=banks.clock)
    banks.members[place]._close_received()
    banks.members[place] = member
    connect(banks.members)
    return member


def test_a_member_goes_on_after_a_restart_with_share_list_and_times_of_arrival(banks: Banks) -> None:
    a, b, c = banks.members
    token = a.report("P1", customer="alice").token
    banks.clock.now += 5 * SECOND
    b.report("P1", customer="bob")
    before = c.payees.statement(1, at=START + DAY)
    arrived = [c.payees.received_at(word.statement) for word in c.payees.words(token)]
    banks.clock.now += 60 * SECOND
    again = restarted(banks, 2)
    assert again.resume() == a.tokens.epoch
    assert again.payees.statement(1, at=START + DAY).root == before.root
    assert [again.payees.received_at(word.statement) for word in again.payees.words(token)] == arrived
    assert again.tokens.ask(["P1"], purpose="payment")["P1"] == token
    assert a.tokens.ask(["P9"], purpose="payment")["P9"]  # the others are answered too
    assert again.state_list().number == 1
    assert restarted(banks, 2).resume() is not None
    assert banks.members[2].state_list().number == 2


def test_what_was_stated_and_not_sent_before_a_crash_is_sent_after_it(banks: Banks) -> None:
    class Gone(LocalLink):
        def send_report(self, receipt: bytes) -> None:
            raise OverloadedError("the process ends here")

    a, b, c = banks.members
    a.link([Gone(b), Gone(c)])
    token = a.report("P1", customer="alice").token
    assert not b.payees.words(token)
    again = restarted(banks, 0)
    again.resume()
    assert [len(member.payees.words(token)) for member in banks.members] == [1, 1, 1]


def test_a_new_member_has_nothing_to_resume(banks: Banks) -> None:
    banks.members[0].end()
    assert not (banks.nodes[0].workspace.path / "sharing" / "received-1").exists()
    assert restarted(banks, 0).resume() is None


@pytest.mark.parametrize("cut", range(6))
def test_a_torn_end_of_what_was_received_loses_no_more_than_its_last_word(banks: Banks, cut: int) -> None:
    a, b, _ = banks.members
    for number in range(3):
        a.report(f"P{number}", customer="alice")
        b.report(f"P{number}", customer="bob")
    path = banks.nodes[2].workspace.path / "sharing" / "received-1"
    data = path.read_bytes()
    torn = [b"", b"\x00", b"\x00\x00\x00\x40", os_bytes(40), b"\xff" * 64, data[-200:]][cut]
    path.write_bytes(data + torn)
    again = restarted(banks, 2)
    again.resume()
    assert len(again.payees.entries(START)) == 3
    a.report("P0", customer="anna")
    last = restarted(banks, 2)
    last.resume()
    assert len(last.payees.words(a.tokens.ask(["P0"], purpose="review")["P0"])) == 3


def os_bytes(size: int) -> bytes:
    return random.Random(7).randbytes(size)
