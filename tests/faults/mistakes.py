"""Mistakes on purpose: what a good programmer might write on a bad day, each by its name.

None of them is in the product: they are patched in here, one at a time, to see whether the world
would notice. A mistake that no history betrays is a hole in the world, not a proof of luck.
`seed` is a world that has shown it; when it no longer does, others are looked through.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

import pytest
from promises import broken
from simulated_town import live
from sqlalchemy import bindparam, select, update

from gateway import accepted, follower, handlers, inbox, sender
from gateway.desk import (
    attempts,
    blocks,
    books,
    endings,
    outbox,
    reads,
    reservations,
    settlement,
    transfers,
    waiters,
)
from gateway.messages import Outgoing, enqueue
from gateway.stores import sessions_memory
from gateway.stores.sql import StoreUnavailable
from ledger_client.ledger import Verdict
from menus import limits as arithmetic
from menus.effects import InProgress, PaymentState, Rejected, Unavailable
from menus.kinds import Msisdn

SEEDS_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Mistake:
    """How to make it, and a world that has shown it."""

    make: Callable[[pytest.MonkeyPatch], None]
    seed: int


MISTAKES: dict[str, Mistake] = {}


def mistake(name: str, seed: int = 0):
    def named(make):
        MISTAKES[name] = Mistake(make, seed)
        return make

    return named


def noticed(name: str, most: int = SEEDS_MOST) -> tuple[int, int, str] | None:
    """After how many worlds it was noticed, in which, and how; None when it never was."""
    one = MISTAKES[name]
    with pytest.MonkeyPatch.context() as patch:
        one.make(patch)
        seeds = [one.seed, *(seed for seed in range(most) if seed != one.seed)]
        for tried, seed in enumerate(seeds[:most], start=1):
            if found := broken(live(seed)):
                return tried, seed, found[0]
    return None


# ---- the ledger's word


@mistake("release on NOT_RECEIVED")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "TOLD", tuple(Verdict))
    patch.setattr(outbox, "never", lambda words: words[0].verdict is Verdict.UNKNOWN)


@mistake("believe one peer's refusal")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "never", lambda words: words[0].verdict is Verdict.INVALID)


@mistake("believe one peer's REJECTED")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "never", lambda words: words[0].verdict is Verdict.REJECTED)


@mistake("trust a peer's queue: send once")
def _(patch: pytest.MonkeyPatch) -> None:
    ask_after = outbox.Outbox._ask_after

    async def once(self, rows):
        await ask_after(self, rows)
        return set()

    patch.setattr(outbox.Outbox, "_ask_after", once)


@mistake("cancel what was sent, as if it had not been")
def _(patch: pytest.MonkeyPatch) -> None:
    table = outbox._SUBMISSION
    late = select(table.c.tx_hash).where(
        *outbox._due, table.c.created_time <= bindparam("oldest") + 10 * 60_000 - 4_000
    )
    patch.setattr(outbox, "_UNSENT", late)
    end = outbox.Outbox._end
    patch.setattr(outbox.Outbox, "_end", lambda self, hashes, state, **_: end(self, hashes, state))


@mistake("expire by the next block")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(blocks, "EXPIRES_MS", 0)
    patch.setattr(blocks, "PROOF_BLOCKS", 1)


@mistake("settle without a guard on the state")
def _(patch: pytest.MonkeyPatch) -> None:
    _unguarded_settling(patch)
    _unguarded_cursor(patch)


@mistake("a cursor that any process may move")
def _unguarded_cursor(patch: pytest.MonkeyPatch) -> None:
    advance = blocks._advance

    def always(*asked):
        advance(*asked)
        return blocks.Place.NEXT

    patch.setattr(blocks, "_advance", always)


def _unguarded_settling(patch: pytest.MonkeyPatch) -> None:
    end = settlement.end

    def any_state(connection, hashes, state, at_ms, **how):
        for before in ("committed", "rejected", "cancelled", "expired"):
            table = settlement._SUBMISSION
            mine = table.c.tx_hash.in_(hashes), table.c.state == before
            connection.execute(update(table).where(*mine).values(state="signed"))
        return end(connection, hashes, state, at_ms, **{**how, "before": "signed"})

    patch.setattr(settlement, "end", any_state)


@mistake("a block's rejections are not read")
def _(patch: pytest.MonkeyPatch) -> None:
    settle = blocks.settle

    def without(receipts, assets, own, connection, asked):
        (one,) = asked
        block = type(one.block)(**{**_fields(one.block), "rejected": ()})
        return settle(
            receipts, assets, own, connection, [blocks.Settle(block, one.now_ms, one.day)]
        )

    patch.setattr(follower, "settle", without)


def _fields(value) -> dict:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


# ---- signing


@mistake("sign again on a timeout")
def _(patch: pytest.MonkeyPatch) -> None:
    carry_out = transfers.Transfers._carry_out

    async def again(self, effect, origin):
        outcome = await carry_out(self, effect, origin)
        if isinstance(outcome, InProgress):
            other = type(effect)(
                **{**_fields(effect), "intent": effect.intent + "+", "again": True}
            )
            later = type(origin)(**{**_fields(origin), "deadline": origin.deadline + 3, "turn": 90})
            return await carry_out(self, other, later)
        return outcome

    patch.setattr(transfers.Transfers, "_carry_out", again)


@mistake("an intent made at each try, and not when it was shown")
def _(patch: pytest.MonkeyPatch) -> None:
    carry_out = transfers.Transfers._carry_out

    async def fresh(self, effect, origin):
        intent = self._entropy(16).hex()
        return await carry_out(
            self, type(effect)(**{**_fields(effect), "intent": intent, "again": True}), origin
        )

    patch.setattr(transfers.Transfers, "_carry_out", fresh)


@mistake("same-millisecond twins: no ref in what is signed")
def _(patch: pytest.MonkeyPatch) -> None:
    command = transfers.TransferAsset
    patch.setattr(
        transfers,
        "TransferAsset",
        lambda **given: command(**{**given, "description": "Payment"}),
    )


@mistake("an amount in round figures")
def _(patch: pytest.MonkeyPatch) -> None:
    to_decimal = transfers.to_decimal
    patch.setattr(
        transfers, "to_decimal", lambda money: str(round(int(to_decimal(money)), -2) or 100)
    )


@mistake("send before it is stored")
def _(patch: pytest.MonkeyPatch) -> None:
    commit = transfers.Transfers._commit

    async def sent_first(self, order, origin):
        await self._outbox._ledger.submit([order.signed.data])
        return await commit(self, order, origin)

    patch.setattr(transfers.Transfers, "_commit", sent_first)


# ---- limits


@mistake("read-then-write limit")
def _(patch: pytest.MonkeyPatch) -> None:
    table = reservations._COUNTER
    where = (
        table.c.account_id == bindparam("b_account"),
        table.c.bucket == bindparam("b_bucket"),
        table.c.period == bindparam("b_period"),
    )
    values = {"amount": table.c.amount + bindparam("b_amount"), "count": table.c.count + 1}
    patch.setattr(transfers, "_refused", lambda *_: None)
    patch.setattr(reservations, "_TAKE_COUNTER", update(table).where(*where).values(values))


@mistake("a balance of which nothing is on its way")
def _(patch: pytest.MonkeyPatch) -> None:
    table, sendable = reservations._HOLDING, reads.sendable
    patch.setattr(reads, "sendable", lambda caps, used, _: sendable(caps, used, caps.held))
    patch.setattr(books.Held, "available", property(lambda held: held.settled))
    patch.setattr(
        reservations,
        "_TAKE_OUTGOING",
        update(table)
        .where(*reservations._of_holding)
        .values(outgoing=table.c.outgoing + bindparam("b_amount")),
    )


@mistake("room of a receiver whom others are paying")
def _(patch: pytest.MonkeyPatch) -> None:
    table = reservations._HOLDING
    patch.setattr(transfers, "no_room", lambda *_: None)
    patch.setattr(
        reservations,
        "_TAKE_INCOMING",
        update(table)
        .where(*reservations._of_holding)
        .values(incoming=table.c.incoming + bindparam("b_amount")),
    )


@mistake("release to today and not to the reserved day")
def _(patch: pytest.MonkeyPatch) -> None:
    write = endings.Endings._reservations

    def today(self, connection):
        self.failed = [
            one._replace(payment=one.payment._replace(business_day=self.day))
            for one in self.failed
            if one.payment
        ]
        write(self, connection)

    patch.setattr(endings.Endings, "_reservations", today)


@mistake("nothing is given back")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reservations.Changes, "_count", lambda *_: None)


@mistake("given back twice")
def _(patch: pytest.MonkeyPatch) -> None:
    count = reservations.Changes._count
    patch.setattr(
        reservations.Changes, "_count", lambda self, payment, sign: count(self, payment, 2 * sign)
    )


@mistake("what was paid is given back, too")
def _(patch: pytest.MonkeyPatch) -> None:
    end = reservations.Changes.end
    patch.setattr(
        reservations.Changes,
        "end",
        lambda self, ended, **_: end(self, ended, committed=False),
    )


@mistake("the month is not counted")
def _(patch: pytest.MonkeyPatch) -> None:
    rows = reservations._counter_rows
    patch.setattr(reservations, "_counter_rows", lambda *asked: rows(*asked)[:1])


@mistake("a business day of Greenwich")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfers, "business_day", lambda at: at.astimezone(UTC).date().isoformat())


@mistake("the cap of SMS is for USSD only")
def _(patch: pytest.MonkeyPatch) -> None:
    rooms = arithmetic.Sendable.rooms
    patch.setattr(arithmetic.Sendable, "rooms", lambda self, **_: rooms(self, sms=False))


# ---- what people are told


@mistake("a timeout is told as a failure")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfers, "InProgress", Rejected)


@mistake("an unknown commit is told as nothing done")
def _(patch: pytest.MonkeyPatch) -> None:
    async def once(self, order, origin):
        try:
            return await self._place(order)
        except StoreUnavailable:
            return Unavailable()

    patch.setattr(transfers.Transfers, "_commit", once)


@mistake("late is told as nothing done")
def _(patch: pytest.MonkeyPatch) -> None:
    to_the_end = handlers.Handlers._to_the_end
    patch.setattr(handlers, "LATE_S", -2.5)
    patch.setattr(
        handlers.Handlers,
        "_to_the_end",
        lambda self, work, origin, **_: to_the_end(self, work, origin, late=Unavailable()),
    )


@mistake("what was sent is told as paid")
def _(patch: pytest.MonkeyPatch) -> None:
    async def at_once(self, tx_hash, timeout_s):
        return "committed"

    outcome_of = transfers.outcome_of
    patch.setattr(waiters.Waiters, "settled", at_once)
    patch.setattr(
        transfers,
        "outcome_of",
        lambda payment, banks, seen: outcome_of(payment._replace(state="committed"), banks, seen),
    )


@mistake("receipt before commit")
def _(patch: pytest.MonkeyPatch) -> None:
    reserve = transfers.reserve

    def and_tells(connection, books, orders):
        reserve(connection, books, orders)
        enqueue(connection, [_receipt(order) for order in orders], orders[0].at_ms)

    patch.setattr(transfers, "reserve", and_tells)


def _receipt(order) -> Outgoing:
    want = order.want
    text = f"Sent {want.amount.show} to {want.dest_msisdn}. Ref {order.ref}."
    return Outgoing(f"{order.ref}/sent", Msisdn(want.sender.e164), "receipt", text)


@mistake("a receipt queued after the commit that it tells of")
def _(patch: pytest.MonkeyPatch) -> None:
    told: list = []
    patch.setattr(endings, "enqueue", lambda _, messages, now_ms: told.append((messages, now_ms)))

    def late(connection, items):
        for messages, now_ms in items:
            enqueue(connection, messages, now_ms)
        return [None] * len(items)

    settle = follower.Follower._settle

    async def then_queue(self, block):
        done = await settle(self, block)
        items, told[:] = list(told), []
        if items:
            await self._sql.run(late, items)
        return done

    patch.setattr(follower.Follower, "_settle", then_queue)


@mistake("a doubtful SMS is sent again and again")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sender, "UNSURE_MOST", 12)
    patch.setattr(sender, "UNSURE_AGAIN_MS", 500)


@mistake("a doubtful SMS is never sent again")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sender, "UNSURE_MOST", 1)


@mistake("Last payment knows only paid and not paid")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(reads._STATES, "signed", PaymentState.NOT_PAID)


@mistake("Last payment takes a refusal for a payment")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(reads._STATES, "rejected", PaymentState.PAID)


# ---- PINs and conversations


@mistake("PIN counter after the check")
def _(patch: pytest.MonkeyPatch) -> None:
    raised = attempts._Guard._raise

    def later(self, wallet, now_ms):
        return wallet.wrong_pins, wallet.locked_until

    reserve, judge = attempts._Guard.reserve, attempts._Guard.judge

    def unseen(self, spent, item, wallet, attempt):
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(attempts._Guard, "_raise", later)
            return reserve(self, spent, item, wallet, attempt)

    def counted(self, item, wallet, attempt):
        if item.verdict == "wrong":
            raised(self, wallet, item.now_ms)
        return judge(self, item, wallet, attempt)

    patch.setattr(attempts._Guard, "reserve", unseen)
    patch.setattr(attempts._Guard, "judge", counted)


@mistake("a lock that is forgotten")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attempts.PinRules, "lock_ms", lambda *_: 0)


@mistake("a wrong PIN counts twice")
def _(patch: pytest.MonkeyPatch) -> None:
    count = attempts.attempt_rows.Rows.count
    patch.setattr(
        attempts.attempt_rows.Rows,
        "count",
        lambda self, wallet, wrong, until: count(self, wallet, wrong + (wrong > 0), until),
    )


@mistake("last * wins")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        accepted.Accepted,
        "read",
        lambda _, text, *__: accepted.Fresh(text.rsplit("*", 1)[-1]) if text else None,
    )
    patch.setattr(sessions_memory._Session, "repeats", lambda *_: False)


@mistake("any code will do")
def _(patch: pytest.MonkeyPatch) -> None:
    judge = inbox.judge

    def kind(replies, connection, guesses):
        easy = [inbox.Guess(guess.done, lambda _: True) for guess in guesses]
        return judge(replies, connection, easy)

    patch.setattr(inbox, "judge", kind)
