"""The rules of the batching primitive."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from clocks import settle
from hypothesis import given
from hypothesis import strategies as st

from gateway.batch import Batcher, BatchError, Overloaded


class Edge:
    """A flush that the test opens and shuts, and that remembers what it carried."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.carried: list[list[Any]] = []
        self.under_way = 0
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()

    async def __call__(self, items):
        self.carried.append(list(items))
        self.under_way += 1
        assert self.under_way == 1, "one flush at a time"
        await self.gate.wait()
        self.under_way -= 1
        return [ValueError(item) if str(item).startswith("bad") else f"<{item}>" for item in items]


async def ask_all(batch, items):
    return await asyncio.gather(*(batch(item) for item in items), return_exceptions=True)


async def test_what_is_asked_in_one_tick_leaves_together():
    edge = Edge()
    assert await ask_all(Batcher(edge), "abc") == ["<a>", "<b>", "<c>"]
    assert edge.carried == [["a", "b", "c"]]


async def test_what_arrives_under_way_leaves_with_the_next():
    edge = Edge(is_open=False)
    batch = Batcher(edge)
    first = asyncio.create_task(ask_all(batch, "a"))
    await settle()
    rest = asyncio.create_task(ask_all(batch, "bcd"))
    await settle()
    assert edge.carried == [["a"]]
    edge.gate.set()
    assert await rest == ["<b>", "<c>", "<d>"]
    assert await first == ["<a>"]
    assert edge.carried == [["a"], ["b", "c", "d"]]


async def test_a_flush_carries_at_most_most():
    edge = Edge()
    await ask_all(Batcher(edge, most=2), "abcde")
    assert edge.carried == [["a", "b"], ["c", "d"], ["e"]]


async def test_at_most_one_item_per_key_is_in_one_flush_and_keys_keep_their_order():
    edge = Edge()
    batch = Batcher(edge, key=lambda item: item[0])
    await ask_all(batch, ["a1", "a2", "b1", "a3", "b2", "c1"])
    assert edge.carried == [["a1", "b1", "c1"], ["a2", "b2"], ["a3"]]


async def test_a_key_that_cannot_be_made_is_its_callers_problem_alone():
    batch = Batcher(Edge(), key=lambda item: item["key"])
    answers = await ask_all(batch, [{"key": 1}, {}, {"key": 2}])
    assert isinstance(answers[1], KeyError)
    assert isinstance(answers[2], str)


async def test_a_refused_item_fails_alone():
    good, bad, also = await ask_all(Batcher(Edge()), ["a", "bad", "c"])
    assert (good, also) == ("<a>", "<c>")
    assert isinstance(bad, ValueError)


async def test_a_flush_that_raises_fails_those_it_carried_and_no_others():
    async def flush(items):
        if "b" in items:
            raise OSError("gone")
        return items

    answers = await ask_all(Batcher(flush, most=2), "abcd")
    assert [type(answer) for answer in answers] == [OSError, OSError, str, str]


async def test_a_flush_that_loses_count_fails_all_it_carried():
    async def flush(items):
        return items[1:]

    assert all(isinstance(each, BatchError) for each in await ask_all(Batcher(flush), "ab"))


async def test_a_caller_who_gives_up_does_not_take_the_others_along():
    edge = Edge(is_open=False)
    batch = Batcher(edge)
    tasks = [asyncio.create_task(batch(item)) for item in "abc"]
    await settle()
    tasks[0].cancel()  # under way: it goes on
    await settle()
    edge.gate.set()
    assert await asyncio.gather(*tasks[1:]) == ["<b>", "<c>"]
    assert edge.carried == [["a", "b", "c"]]


async def test_an_item_whose_caller_gave_up_before_it_left_stays():
    edge = Edge(is_open=False)
    batch = Batcher(edge)
    tasks = [asyncio.create_task(batch("a"))]
    await settle()
    tasks += [asyncio.create_task(batch(item)) for item in "bc"]
    await settle()
    tasks[1].cancel()
    await settle()
    edge.gate.set()
    await batch.drain()
    assert edge.carried == [["a"], ["c"]]


async def test_the_caller_who_began_a_flush_may_give_up_too():
    edge = Edge(is_open=False)
    batch = Batcher(edge)
    starter = asyncio.create_task(batch("a"))
    await settle()
    other = asyncio.create_task(batch("b"))
    await settle()
    starter.cancel()
    await settle()
    edge.gate.set()
    assert await other == "<b>"


async def test_an_interrupted_flush_is_an_error_not_a_cancellation_of_its_callers():
    async def flush(items):
        if items[0] == "a":
            raise asyncio.CancelledError
        return items

    batch = Batcher(flush, most=1)
    first, second = await ask_all(batch, "ab")
    assert isinstance(first, BatchError)
    assert second == "b"


async def test_more_than_may_wait_is_refused_at_once():
    edge = Edge(is_open=False)
    batch = Batcher(edge, waiting_most=2)
    first = asyncio.create_task(batch("a"))
    await settle()
    waiting = asyncio.create_task(ask_all(batch, "bc"))
    await settle()
    with pytest.raises(Overloaded):
        await batch("d")
    edge.gate.set()
    assert [await first, *await waiting] == ["<a>", "<b>", "<c>"]


async def test_closing_lets_what_was_accepted_finish_and_accepts_no_more():
    edge = Edge(is_open=False)
    batch = Batcher(edge, most=1)
    asked = asyncio.create_task(ask_all(batch, "abc"))
    await settle()
    closing = asyncio.create_task(batch.close())
    await settle()
    with pytest.raises(BatchError):
        await batch("d")
    edge.gate.set()
    await closing
    assert asked.done() or await asked == ["<a>", "<b>", "<c>"]
    assert edge.carried == [["a"], ["b"], ["c"]]


async def test_draining_an_idle_batcher_is_nothing():
    batch = Batcher(Edge())
    await batch.drain()
    await batch("a")
    await batch.drain()


async def test_a_flush_does_not_run_under_the_name_of_the_caller_who_began_it():
    name: ContextVar[str] = ContextVar("name", default="nobody")

    async def flush(items):
        return [name.get() for _ in items]

    name.set("request 1")
    assert await Batcher(flush)("a") == "nobody"


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Batcher(Edge.__call__, most=0)


# What happens, in any order: an item of some key comes, somebody gives up, a flush ends.
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("give up"), st.integers(0, 40), st.none()),
        st.tuples(st.just("flushed"), st.none(), st.none()),
        st.tuples(st.just("broken"), st.none(), st.none()),
    ),
    max_size=60,
)


class History:
    """Plays happenings against a batcher, and notes what its flush was given."""

    def __init__(self, most: int, *, keyed: bool) -> None:
        self.most, self.keyed = most, keyed
        self.carried: list[tuple[int, int, bool]] = []
        self.lost: set[int] = set()  # carried by a flush that broke
        self.tasks: list[asyncio.Task[int]] = []
        self.ends: asyncio.Queue[str] = asyncio.Queue()  # how the flush under way ends
        self.batch = Batcher(self.flush, most=most, key=(lambda item: item[1]) if keyed else None)

    async def flush(self, items):
        assert 1 <= len(items) <= self.most
        assert not self.keyed or len({key for _, key, _ in items}) == len(items)
        self.carried.extend(items)
        if await self.ends.get() == "broken":
            self.lost.update(number for number, _, _ in items)
            raise OSError("broken")
        return [ValueError(number) if bad else number for number, _, bad in items]

    async def play(self, happenings):
        for what, which, bad in happenings:
            if what == "ask":
                item = (len(self.tasks), which, bad)
                self.tasks.append(asyncio.create_task(self.batch(item)))
            elif what == "give up" and which < len(self.tasks):
                self.tasks[which].cancel()
            elif what in {"flushed", "broken"} and self.ends.empty():
                self.ends.put_nowait(what)
            await settle(3)
        draining = asyncio.create_task(self.batch.drain())
        while not draining.done():
            if self.ends.empty():
                self.ends.put_nowait("flushed")
            await settle(3)

    def expected(self, number: int, *, bad: bool) -> type[Exception] | None:
        if number in self.lost:
            return OSError
        return ValueError if bad else None


@given(HAPPENINGS, st.integers(1, 4), st.booleans())
def test_every_item_is_carried_once_in_order_and_gets_its_own_answer(happenings, most, keyed):
    async def play():
        history = History(most, keyed=keyed)
        await history.play(happenings)
        return history

    history = asyncio.run(play())
    for key in range(4) if keyed else [None]:
        numbers = [number for number, its, _ in history.carried if key in {None, its}]
        assert numbers == sorted(set(numbers)), "each once, in order"
    carried = {number: bad for number, _, bad in history.carried}
    for number, task in enumerate(history.tasks):
        if task.cancelled():
            continue
        expected = history.expected(number, bad=carried[number])
        assert type(task.exception()) is expected if expected else task.result() == number
