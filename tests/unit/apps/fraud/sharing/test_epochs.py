from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.apps.fraud.sharing.banks import DAY, START, Banks, make_banks

from tallystick.apps.fraud.sharing import Epoch, Evaluator, Shares, connect, epoch_of, open_epoch
from tallystick.errors import ConfigurationError, DamagedError, DeadlineError, VerificationError
from tallystick.proof import Party


def test_an_epoch_is_open_when_every_member_has_said_the_same(banks: Banks) -> None:
    opened = [member.tokens.epoch for member in banks.members]
    assert opened[0] == opened[1] == opened[2]
    assert opened[0].id == opened[1].id
    assert sorted(opened[0].commitments) == sorted(node.id for node in banks.nodes)


def test_an_epoch_without_a_member_or_with_other_words_is_none(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, opened=False)
    parties = [member.id for member in banks.members]
    said = [member.open(1, since=START, until=START + DAY, members=parties) for member in banks.members[:2]]
    other = banks.members[2].open(1, since=START, until=START + 2 * DAY, members=parties)
    with pytest.raises(VerificationError, match="every member"):
        epoch_of(said, policy=banks.policy)
    with pytest.raises(VerificationError, match="different epochs"):
        epoch_of([*said, other], policy=banks.policy)
    with pytest.raises(VerificationError, match="got none"):
        epoch_of([], policy=banks.policy)
    banks.close()


def test_a_commitment_that_its_member_cannot_open_is_refused(tmp_path: Path) -> None:
    from tallystick.apps.fraud.sharing._group import multiply_base

    banks = make_banks(tmp_path, opened=False)
    parties = [member.id for member in banks.members]
    said = [member.open(1, since=START, until=START + DAY, members=parties) for member in banks.members]
    body = dict(said[2].statement.body)
    body["commitment"] = multiply_base(b"\x05" + bytes(31)).hex()
    forged = banks.nodes[2].record("epoch.opened", body)
    with pytest.raises(VerificationError, match="does not know the share"):
        epoch_of([*said[:2], banks.nodes[2].receipt(forged.index)], policy=banks.policy)
    with pytest.raises(VerificationError, match="twice"):
        epoch_of([*said, banks.nodes[2].receipt(forged.index)], policy=banks.policy)
    banks.close()


def test_a_share_outlives_the_process_and_stands_nowhere_in_clear(tmp_path: Path) -> None:
    party = Party.create("Bank A")
    shares = Shares(tmp_path / "shares.json", party)
    commitment = shares.draw(1)
    share, tag = shares.share(1), shares.tag(1, "customer", "token")
    again = Shares(tmp_path / "shares.json", party)
    assert again.share(1) == share
    assert again.tag(1, "customer", "token") == tag
    assert len(commitment) == 32
    assert share not in (tmp_path / "shares.json").read_bytes()
    assert share.hex() not in repr(again)
    with pytest.raises(DamagedError):
        Shares(tmp_path / "shares.json", Party.create("Bank B")).share(1)


def test_a_destroyed_share_is_gone_and_is_never_drawn_again(tmp_path: Path) -> None:
    party = Party.create("Bank A")
    shares = Shares(tmp_path / "shares.json", party)
    shares.draw(1)
    before = (tmp_path / "shares.json").read_bytes()
    assert shares.destroy(1)
    assert not shares.destroy(1)
    after = (tmp_path / "shares.json").read_bytes()
    assert before[20:60] not in after
    for known in (shares, Shares(tmp_path / "shares.json", party)):
        with pytest.raises(DeadlineError):
            known.share(1)
        with pytest.raises(ConfigurationError, match="2 or later"):
            known.draw(1)


def test_a_damaged_file_of_shares_is_refused(tmp_path: Path) -> None:
    party, path = Party.create("Bank A"), tmp_path / "shares.json"
    Shares(path, party).draw(1)
    path.write_bytes(path.read_bytes().replace(b'"last":1', b'"last":x'))
    with pytest.raises(DamagedError):
        Shares(path, party)


def test_at_the_end_the_share_is_destroyed_and_nothing_is_answered(banks: Banks) -> None:
    first = banks.members[0]
    token = first.tokens.ask(["P1"], purpose="payment")["P1"]
    epoch = first.tokens.epoch
    banks.clock.now = epoch.until
    with pytest.raises(DeadlineError):
        first.tokens.ask(["P2"], purpose="payment")
    for member in banks.members:
        member.settle()
    assert all(banks.kinds(place).count("epoch.ended") == 1 for place in range(3))
    banks.clock.now = epoch.since + DAY  # even if somebody sets the clock back
    with pytest.raises(DeadlineError, match="destroyed"):
        first.tokens.ask(["P2"], purpose="payment")
    assert first.tokens.find("P1") == token
    banks.clock.now = epoch.until


def test_one_member_that_ends_an_epoch_ends_it_for_all(banks: Banks) -> None:
    banks.members[2].end()
    with pytest.raises(DeadlineError):
        banks.members[0].tokens.ask(["P1"], purpose="payment")


def test_the_next_epoch_gives_other_tokens(banks: Banks) -> None:
    before = banks.members[0].tokens.ask(["P1"], purpose="payment")["P1"]
    connect(banks.members)
    open_epoch(banks.members, since=START, until=START + 90 * DAY, number=2)
    after = [member.tokens.ask(["P1"], purpose="payment")["P1"] for member in banks.members]
    assert after[0] == after[1] == after[2] != before


def test_an_epochs_id_binds_everything_in_it() -> None:
    made = [
        Epoch(1, 0, 10, {"a": b"1" * 32, "b": b"2" * 32}),
        Epoch(2, 0, 10, {"a": b"1" * 32, "b": b"2" * 32}),
        Epoch(1, 1, 10, {"a": b"1" * 32, "b": b"2" * 32}),
        Epoch(1, 0, 11, {"a": b"1" * 32, "b": b"2" * 32}),
        Epoch(1, 0, 10, {"a": b"1" * 32, "b": b"3" * 32}),
    ]
    assert len({epoch.id for epoch in made}) == len(made)


def test_an_epoch_needs_two_members_and_a_time(tmp_path: Path) -> None:
    banks = make_banks(tmp_path, opened=False)
    member = banks.members[0]
    with pytest.raises(ConfigurationError):
        member.open(1, since=START, until=START + DAY, members=[member.id])
    with pytest.raises(ConfigurationError):
        member.open(1, since=START, until=START, members=[m.id for m in banks.members])
    banks.close()


def test_an_end_that_a_crash_left_unstated_is_stated_later(banks: Banks) -> None:
    shares = Shares(banks.nodes[0].workspace.path / "sharing" / "shares.json", banks.nodes[0].party)
    shares.destroy(1)
    assert Shares(
        banks.nodes[0].workspace.path / "sharing" / "shares.json", banks.nodes[0].party
    ).unstated == (1,)
    reopened = Evaluator(banks.nodes[0], shares, policy=banks.policy, clock=banks.clock)
    reopened.settle()
    reopened.settle()
    assert banks.bodies(0, "epoch.ended") == [{"number": 1}]
