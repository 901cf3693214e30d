"""SMS out: nothing lost, codes before receipts, nothing sent more often than it may be."""

import asyncio
import contextlib

import pytest
from sender_parts import Phone, Post

from gateway.carriers.carrier import (
    Delivery,
    DeliveryReport,
    SendFailed,
    SendRefused,
    SendUncertain,
)
from gateway.messages import CODE_MS, LIFE_MS
from gateway.sender import (
    BACKOFF_MS,
    LEASE_MS,
    RECORD_AGAIN_S,
    SENDS_MOST,
    UNSURE_AGAIN_MS,
)
from gateway.stores.sql import StoreUnavailable

HOUR_MS = 3_600_000


@pytest.fixture
async def post(sql, clock) -> Post:
    return Post(sql, clock)


async def test_codes_leave_before_receipts_and_texts_are_emptied(post):
    await post.queue(("receipt", "r"), ("code", "c"))
    async with post.running():
        await post.until(sent=2)
    assert post.phone.texts == ["c", "r"]
    assert {row["text"] for row in (await post.rows()).values()} == {""}


async def test_what_was_surely_not_sent_is_tried_again_ever_more_slowly(post):
    post.phone.raises = SendFailed("status 500")
    await post.queue(("receipt", "r"))
    await post.round()
    for tries, wait_ms in enumerate((*BACKOFF_MS, BACKOFF_MS[-1], BACKOFF_MS[-1]), 1):
        assert post.phone.tries == tries
        assert await post.later(wait_ms - 1) == 0
        assert await post.later(1) == 1
    row = (await post.rows())["r"]
    assert (row["state"], row["failure"], row["unsure"]) == ("queued", "status 500", 0)


async def test_a_receipt_outlasts_a_carrier_that_is_away_for_days(post):
    post.phone.raises = SendFailed("ConnectionError")
    await post.queue(("receipt", "r"), ("notice", "n"), ("reply", "a"))
    await post.round()
    await post.later(HOUR_MS)  # nobody remembers having asked for the answer
    assert await post.states() == {"queued": 2, "dropped": 1}
    post.phone.raises = None
    await post.later(LIFE_MS["receipt"] - HOUR_MS - 1)
    assert await post.states() == {"sent": 2, "dropped": 1}
    assert sorted(post.phone.texts) == ["n", "r"]


async def test_in_the_end_even_a_receipt_is_given_up(post):
    post.phone.raises = SendFailed("status 405")
    await post.queue(("receipt", "r"))
    await post.round()
    await post.later(LIFE_MS["receipt"])
    row = (await post.rows())["r"]
    assert (row["state"], row["text"], row["failure"]) == ("dropped", "", "status 405")
    assert post.phone.tries == 1


async def test_a_refusal_is_final_at_once(post):
    post.phone.raises = SendRefused("status 406")
    await post.queue(("receipt", "r"))
    async with post.running():
        await post.until(failed=1)
    assert (await post.rows())["r"]["text"] == ""


# ---- codes


async def test_a_code_is_sent_until_it_is_of_no_use(post, clock):
    await post.queue(("code", "c"))
    await clock.advance(CODE_MS / 1000 - 0.001)
    async with post.running():
        await post.until(sent=1)


async def test_a_code_too_old_is_never_sent_and_its_text_is_gone(post, clock):
    await post.queue(("code", "c"))
    await clock.advance(CODE_MS / 1000)
    await post.queue(("receipt", "r"))
    async with post.running():
        await post.until(dropped=1, sent=1)
    assert post.phone.texts == ["r"]
    assert (await post.rows())["c"]["text"] == ""
    assert post.metered("dropped") == 1


async def test_codes_that_waited_for_a_carrier_do_not_hold_up_what_came_after(post, clock):
    """Many more of them than are leased at once."""
    await post.queue(*(("code", f"old {n}") for n in range(5 * SENDS_MOST)))
    await clock.advance(CODE_MS / 1000)
    await post.queue(("code", "new"), ("receipt", "r"))
    async with post.running():
        await post.until(dropped=5 * SENDS_MOST, sent=2)
    assert post.phone.texts == ["new", "r"]


# ---- what may have been sent


@pytest.mark.parametrize("trouble", [SendUncertain("ReadTimeout"), ZeroDivisionError("r")])
async def test_what_may_have_been_sent_is_repeated_once_and_never_again(post, trouble):
    post.phone.raises = trouble
    await post.queue(("receipt", "r"))
    await post.round()
    assert await post.states() == {"queued": 1}
    assert await post.later(UNSURE_AGAIN_MS - 1) == 0
    assert await post.later(1) == 1
    assert await post.states() == {"unknown": 1}
    assert await post.later(HOUR_MS) == 0
    assert post.phone.tries == 2
    row = (await post.rows())["r"]
    assert (row["text"], row["carrier_id"]) == ("", None)
    assert row["failure"] in ("ReadTimeout", "ZeroDivisionError")
    assert post.metered("unknown") == 1


async def test_the_repeat_of_what_may_have_been_sent_can_arrive(post):
    post.phone.raises = SendUncertain("ReadTimeout")
    await post.queue(("receipt", "r"))
    await post.round()
    post.phone.raises = None
    await post.later(UNSURE_AGAIN_MS)
    row = (await post.rows())["r"]
    assert (row["state"], row["carrier_id"], row["failure"]) == ("sent", "ATXid_r", None)


async def test_what_was_surely_not_sent_never_uses_up_the_one_repeat(post):
    await post.queue(("receipt", "r"))
    maybe, no = SendUncertain("ReadTimeout"), SendFailed("status 500")
    for trouble in (no, no, maybe, no, no, no, maybe, no):
        post.phone.raises = trouble
        await post.later(HOUR_MS)
    assert await post.states() == {"unknown": 1}
    assert post.phone.tries == 7


async def test_what_a_dead_sender_had_leased_is_sent_by_the_next(post, sql, clock):
    await post.queue(("receipt", "r"))
    assert len(await post.sender._lease(8)) == 1  # and then it dies
    other = Post(sql, clock)
    assert await other.sender._lease(8) == []
    await clock.advance(LEASE_MS / 1000)
    async with other.running():
        await other.until(sent=1)


async def test_a_message_at_which_two_senders_died_is_not_sent_a_third_time(post, sql, clock):
    await post.queue(("receipt", "r"))
    for _ in range(2):
        assert [due.end for due in await post.sender._lease(8)] == [None]
        await clock.advance(LEASE_MS / 1000)
    other = Post(sql, clock)
    async with other.running():
        await other.until(unknown=1)
    assert other.phone.tries == 0


async def test_a_timeout_before_a_crash_counts_as_the_first_of_the_two(post, clock):
    post.phone.raises = SendUncertain("ReadTimeout")
    await post.queue(("receipt", "r"))
    await post.round()
    await clock.advance(UNSURE_AGAIN_MS / 1000)
    assert len(await post.sender._lease(8)) == 1  # and then it dies
    await post.later(LEASE_MS)
    assert await post.states() == {"unknown": 1}
    assert post.phone.tries == 1


async def test_a_sender_that_lost_its_lease_changes_nothing_any_more(post, sql, clock):
    await post.queue(("receipt", "r"))
    go_on = asyncio.Event()

    class Slow(Phone):
        async def send(self, to, text):
            await go_on.wait()
            return await super().send(to, text)

    slow = Post(sql, clock, Slow())
    sending = asyncio.create_task(slow.round())
    await slow.until(sending=1)
    post.phone.raises = SendFailed("status 500")
    assert await post.later(LEASE_MS) == 1
    go_on.set()
    await sending
    row = (await post.rows())["r"]
    assert (row["state"], row["tries"], row["carrier_id"]) == ("queued", 2, None)


# ---- the store in trouble


class Lossy:
    """A store that loses the next replies to `_record`, after or before it did what was asked."""

    def __init__(self, sql, *, committed: bool) -> None:
        self._sql, self._committed = sql, committed
        self.lose = 2

    async def run(self, operation, items, *, timeout_s=None, only_reads=False):
        if getattr(operation, "__name__", "") == "_record" and self.lose:
            self.lose -= 1
            if self._committed:
                await self._sql.run(operation, items)
            raise StoreUnavailable("away", maybe_committed=self._committed)
        return await self._sql.run(operation, items, timeout_s=timeout_s, only_reads=only_reads)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("committed", [True, False])
async def test_a_send_that_could_not_be_recorded_is_recorded_later_and_not_repeated(
    sql, clock, committed
):
    post = Post(Lossy(sql, committed=committed), clock)
    await post.queue(("receipt", "r"))
    async with post.running():
        for _ in range(10):  # a lease ends by this clock too, however slow the database is
            await clock.advance(RECORD_AGAIN_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await post.until(sent=1)
                    break
        post.sender.stop()
        clock.skipping = True
        await clock.advance(RECORD_AGAIN_S)  # what is still being recorded again ends
    assert post.phone.texts == ["r"]


async def test_a_lease_that_came_late_is_given_back_unsent(post, clock):
    await post.queue(("receipt", "r"))
    (due,) = await post.sender._lease(8)
    await clock.advance(LEASE_MS / 1000 - 12)
    await post.sender._one(due)
    assert post.phone.tries == 0
    row = (await post.rows())["r"]
    assert (row["state"], row["unsure"]) == ("queued", 0)
    async with post.running():
        await post.until(sent=1)


# ---- many at once


async def test_a_message_that_breaks_its_send_does_not_stop_the_others(post):
    await post.queue(*(("receipt", f"m{n}") for n in range(20)))
    send = post.phone.send

    async def breaks_on_one(to, text):
        if text == "m7":
            raise ZeroDivisionError(text)
        return await send(to, text)

    post.sender._send = breaks_on_one
    async with post.running():
        await post.until(sent=19, queued=1)
    assert len(post.phone.texts) == 19
    assert (await post.rows())["m7"]["failure"] == "ZeroDivisionError"


async def test_a_slow_carrier_gets_each_message_once(post, clock):
    await post.queue(*(("receipt", f"m{n}") for n in range(40)))
    gate = asyncio.Event()
    taken: list[str] = []

    async def slow(_to, text):
        taken.append(text)
        await gate.wait()
        return f"id {text}"

    post.sender._send = slow
    async with post.running():
        await post.until(sending=SENDS_MOST, queued=40 - SENDS_MOST)
        await clock.advance(LEASE_MS / 2000)  # half a lease: slow, but within what a send may take
        gate.set()
        await post.until(sent=40)
    assert sorted(taken) == sorted(f"m{n}" for n in range(40))


async def test_two_processes_send_each_message_once(sql, clock):
    phone = Phone()
    one, two = Post(sql, clock, phone), Post(sql, clock, phone)
    await one.queue(*(("receipt", f"m{n}") for n in range(60)))
    async with one.running(), two.running():
        await one.until(sent=60)
    assert sorted(phone.texts) == sorted(f"m{n}" for n in range(60))


# ---- delivery reports


async def test_a_report_belongs_to_its_message_and_no_other(post):
    await post.queue(("receipt", "a"), ("receipt", "b"))
    async with post.running():
        await post.until(sent=2)
    await post.sender.reported(DeliveryReport("ATXid_a", Delivery.DELIVERED))
    await post.sender.reported(DeliveryReport("ATXid_b", Delivery.ON_ITS_WAY))
    await post.sender.reported(DeliveryReport("ATXid_9", Delivery.FAILED, "UserDoesNotExist"))
    assert await post.reports() == {"a": ("delivered", None)}


async def test_a_report_that_comes_before_its_send_was_recorded_is_not_lost(post):
    """The carrier's callback overtakes the answer to the send."""
    await post.queue(("receipt", "r"))
    (due,) = await post.sender._lease(8)
    await post.sender.reported(DeliveryReport("ATXid_r", Delivery.FAILED, "UserInBlackList"))
    assert await post.reports() == {}
    await post.sender._one(due)
    assert await post.reports() == {"r": ("failed", "UserInBlackList")}


async def test_reports_and_records_at_the_same_moment_all_find_each_other(sql, clock):
    """Two processes: one sends, the other is told."""
    one, two = Post(sql, clock), Post(sql, clock)
    names = [f"m{n}" for n in range(60)]
    await one.queue(*(("receipt", name) for name in names))
    send = one.phone.send
    told: list[asyncio.Task[None]] = []

    async def told_at_once(to, text):
        report = DeliveryReport(f"ATXid_{text}", Delivery.DELIVERED)
        told.append(asyncio.create_task(two.sender.reported(report)))
        return await send(to, text)

    one.sender._send = told_at_once
    async with one.running():
        await one.until(sent=60)
    await asyncio.gather(*told)
    assert await one.reports() == dict.fromkeys(names, ("delivered", None))


async def test_the_carriers_first_word_is_kept(post):
    await post.queue(("receipt", "r"))
    async with post.running():
        await post.until(sent=1)
    for delivery in (Delivery.DELIVERED, Delivery.FAILED, Delivery.DELIVERED):
        await post.sender.reported(DeliveryReport("ATXid_r", delivery))
    assert await post.reports() == {"r": ("delivered", None)}
