"""Mistakes with what people are told, with PINs and with conversations."""

from dataclasses import replace

import pytest
from making import mistake

from gateway import accepted, follower, handlers, inbox, sender
from gateway.desk import (
    attempts,
    endings,
    last_payment,
    pin_change,
    placing,
    transfers,
    waiters,
)
from gateway.messages import Outgoing, enqueue
from gateway.stores import sessions_memory
from gateway.stores.sql import StoreUnavailable
from menus.effects import PayeeFull, PaymentState, Rejected
from menus.flows import paying
from menus.forms import ends
from menus.kinds import Msisdn

# ---- what people are told


@mistake("a timeout is told as a failure", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfers, "InProgress", Rejected)


@mistake("an unknown commit is told as refused", seed=95)
def _(patch: pytest.MonkeyPatch) -> None:
    async def once(self, order, origin):
        try:
            return await self._place(order)
        except StoreUnavailable:
            return PayeeFull()

    patch.setattr(transfers.Transfers, "_commit", once)


@mistake("late is told as nothing done", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handlers, "LATE_S", -2.5)
    patch.setattr(
        paying,
        "ends",
        lambda key, **holes: ends(key.replace("send.unconfirmed", "engine.unavailable"), **holes),
    )


@mistake("what was sent is told as paid", seed=2)
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
    reserve = placing.reserve

    def and_tells(journal, connection, books, orders, **how):
        reserve(journal, connection, books, orders, **how)
        enqueue(connection, [_receipt(order) for order in orders], orders[0].at_ms)

    patch.setattr(placing, "reserve", and_tells)


def _receipt(order) -> Outgoing:
    want = order.want
    text = f"Sent {want.amount.show} to {want.dest_msisdn}. Ref {order.ref}."
    return Outgoing(f"{order.ref}/sent", Msisdn(want.sender.e164), "receipt", text)


@mistake("a receipt queued after the commit that it tells of", seed=16)
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


@mistake("a doubtful SMS is sent again and again", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sender, "UNSURE_MOST", 12)
    patch.setattr(sender, "UNSURE_AGAIN_MS", 500)


@mistake("a doubtful SMS is never sent again", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sender, "UNSURE_MOST", 1)


@mistake("Last payment knows only paid and not paid", seed=15)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(last_payment._STATES, "signed", PaymentState.NOT_PAID)


@mistake("Last payment takes a refusal for a payment", seed=7)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(last_payment._STATES, "rejected", PaymentState.PAID)


# ---- PINs and conversations


@mistake("PIN counter after the check", seed=5)
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


@mistake("a lock that is forgotten", seed=5)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attempts.PinRules, "lock_ms", lambda *_: 0)


@mistake("a new PIN is told of and not kept", seed=22)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pin_change, "reseal", lambda _texts, _connection, items: [True] * len(items))


@mistake("a wrong PIN counts twice", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    count = attempts.attempt_rows.Rows.count
    patch.setattr(
        attempts.attempt_rows.Rows,
        "count",
        lambda self, wallet, wrong, until: count(self, wallet, wrong + (wrong > 0), until),
    )


@mistake("last * wins", seed=51)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        accepted.Accepted,
        "read",
        lambda _, text, *__: accepted.Fresh(text.rsplit("*", 1)[-1]) if text else None,
    )
    patch.setattr(sessions_memory._Session, "repeats", lambda *_: False)


@mistake("any code will do", seed=51)
def _(patch: pytest.MonkeyPatch) -> None:
    judge = inbox.judge

    def kind(replies, connection, guesses):
        easy = [replace(guess, right=lambda _: True) for guess in guesses]
        return judge(replies, connection, easy)

    patch.setattr(inbox, "judge", kind)
