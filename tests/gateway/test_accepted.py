"""Telling a repeat from new input, without keeping the text."""

import hashlib
from functools import partial

from clocks import seeded
from hypothesis import given
from hypothesis import strategies as st

from gateway.accepted import Accepted, Fresh
from gateway.kek import Kek
from gateway.vault import Vault

OLD, NEW = {1: b"1" * 32}, {2: b"2" * 32}


def mac(masked: bytes, like: bytes = b"") -> bytes:
    return hashlib.blake2b(masked, key=b"k" * 16, digest_size=16).digest()


answers = st.text(st.characters(exclude_characters="*"), min_size=1, max_size=8)
typed = st.text(max_size=12)


def test_the_start_of_a_session_repeated_is_nothing_new():
    assert Accepted.first("", 0, mac).read("", mac) is None


def test_the_first_answer_follows_no_separator():
    assert Accepted.first("", 0, mac).read("1", mac) == Fresh("1")


def test_a_typed_star_stays_inside_one_input():
    accepted = Accepted.first("", 0, mac).then("1", secret=False, mac=mac)
    assert accepted.read("1*12*50", mac) == Fresh("12*50")


def test_shorter_and_other_texts_bring_nothing_new():
    accepted = Accepted.first("", 0, mac).then("1", secret=False, mac=mac)
    accepted = accepted.then("1*012345678", secret=False, mac=mac)
    for text in ("", "1", "2*012345678", "1*012345679", "1*0123456785000", "2*012345678*1"):
        assert accepted.read(text, mac) is None


def test_the_same_choice_made_twice_is_new_input_the_second_time():
    accepted = Accepted.first("", 0, mac).then("1", secret=False, mac=mac)
    assert accepted.read("1*1", mac) == Fresh("1")


def test_a_pin_leaves_no_trace_to_guess_from():
    before = Accepted.first("", 0, mac).then("1", secret=False, mac=mac)
    one = before.then("1*730264", secret=True, mac=mac)
    other = before.then("1*111111", secret=True, mac=mac)
    assert one == other
    assert one.read("1*730264", mac) is None
    assert one.read("1*730264*1", mac) == Fresh("1")


def test_an_input_that_may_be_two_is_kept_like_a_pin():
    before = Accepted.first("", 0, mac).then("1", secret=False, mac=mac)
    one = before.then("1*5000*730264", secret=False, mac=mac)
    assert one == before.then("1*5000*111111", secret=False, mac=mac)
    assert one.read("1*5000*730264*1", mac) == Fresh("1")


def test_what_an_older_key_accepted_is_known_again_and_then_kept_under_the_newest():
    before, after = (Vault(kek, bytes, None) for kek in (Kek(OLD), Kek(OLD | NEW)))
    old, new, gone = (
        partial(vault.mac, "text") for vault in (before, after, Vault(Kek(NEW), bytes, None))
    )
    accepted = Accepted.first("1*012345678", 2, old)
    assert accepted.read("1*012345678*5", new) == Fresh("5")
    assert accepted.read("1*012345679*5", new) is None
    assert accepted.read("1*012345678*5", gone) is None
    then = accepted.then("1*012345678*5", secret=False, mac=new)
    assert then.read("1*012345678*5*1", gone) == Fresh("1")


def test_what_a_key_accepted_that_another_process_added_is_known_too(tmp_path):
    running = Vault(Kek.create(tmp_path / "kek.toml", seeded()), bytes, None)
    other = Vault(Kek.add_version(tmp_path / "kek.toml", seeded("added")), bytes, None)
    accepted = Accepted.first("1", 1, partial(other.mac, "text"))
    assert accepted.read("1*5", partial(running.mac, "text")) == Fresh("5")


def test_what_was_dialled_beyond_the_questions_is_masked():
    one = Accepted.first("1*012345678*5000*730264", 3, mac)
    other = Accepted.first("1*012345678*5000*111111", 3, mac)
    assert one == other
    assert one != Accepted.first("1*012345678*5001*730264", 3, mac)


@given(dialled=st.lists(answers, max_size=4), inputs=st.lists(typed, max_size=6), data=st.data())
def test_every_session_is_read_back_input_by_input(dialled, inputs, data):
    text = "*".join(dialled)
    accepted = Accepted.first(text, data.draw(st.integers(0, len(dialled))), mac)
    for new in inputs:
        text = f"{text}*{new}" if text else new
        if not text:
            continue
        assert accepted.read(text, mac) == Fresh(new)
        accepted = accepted.then(text, secret=data.draw(st.booleans()), mac=mac)
        assert accepted.read(text, mac) is None


@given(text=typed, other=typed)
def test_any_text_gets_an_answer(text, other):
    Accepted.first(text, 1, mac).read(other, mac)
