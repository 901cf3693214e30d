"""Mistakes with the ledger's word, with signing and with limits."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC

import pytest
from making import fields, mistake
from sqlalchemy import bindparam, select, update

from gateway import follower
from gateway.desk import (
    blocks,
    books,
    changes,
    endings,
    outbox,
    placing,
    reads,
    reservations,
    settlement,
    signing,
    transfers,
)
from ledger_client.ledger import LedgerUnreachable, Verdict
from menus import limits as arithmetic
from menus.effects import InProgress

# ---- the ledger's word


@mistake("release on NOT_RECEIVED", seed=177)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "TOLD", tuple(Verdict))
    patch.setattr(outbox, "never", lambda words: words[0].verdict is Verdict.UNKNOWN)


@mistake("believe one peer's refusal", seed=133)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "never", lambda words: words[0].verdict is Verdict.INVALID)


@mistake("believe one peer's REJECTED", seed=52)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "never", lambda words: words[0].verdict is Verdict.REJECTED)


@mistake("trust a peer's queue: send once", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    ask_after = outbox.Outbox._ask_after

    async def once(self, rows):
        await ask_after(self, rows)
        return set()

    patch.setattr(outbox.Outbox, "_ask_after", once)


@mistake("cancel what was sent, as if it had not been", seed=10)
def _(patch: pytest.MonkeyPatch) -> None:
    table = outbox._SUBMISSION
    late = select(table.c.tx_hash).where(
        *outbox._due, table.c.created_time <= bindparam("oldest") + 10 * 60_000 - 4_000
    )
    patch.setattr(outbox, "_UNSENT", late)
    end = outbox.Outbox._end
    patch.setattr(outbox.Outbox, "_end", lambda self, hashes, state, **_: end(self, hashes, state))


@mistake("expire by the next block", seed=8)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(blocks, "EXPIRES_MS", 0)
    patch.setattr(blocks, "PROOF_BLOCKS", 1)


@mistake("settle without a guard on the state", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    _unguarded_settling(patch)
    _unguarded_cursor(patch)


@mistake("a cursor that any process may move", seed=2)
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


@mistake("a block's rejections are not read", seed=4)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = blocks.settle

    def without(receipts, assets, own, connection, asked, **how):
        (one,) = asked
        block = type(one.block)(**{**fields(one.block), "rejected": ()})
        return settle(
            receipts,
            assets,
            own,
            connection,
            [blocks.Settle(block, one.now_ms, one.day)],
            **how,
        )

    patch.setattr(follower, "settle", without)


# ---- a database that went back


@mistake("what was lost waits for the next block", seed=-7)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follower.Follower, "_look_back", lambda _: signing.at_once(0.0))


@mistake("what was on its way while it was lost stays lost", seed=-7)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(blocks, "rebuild", lambda *_, **__: [])


@mistake("what was paid is written again only if it could be paid", seed=-1143)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reservations, "_TAKE_PAID", reservations._TAKE_OUTGOING)


# ---- signing


@mistake("sign again on a timeout", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    carry_out = transfers.Transfers._carry_out

    async def again(self, effect, origin):
        outcome = await carry_out(self, effect, origin)
        if isinstance(outcome, InProgress):
            other = type(effect)(**{**fields(effect), "intent": effect.intent + "+", "again": True})
            later = type(origin)(**{**fields(origin), "deadline": origin.deadline + 3, "turn": 90})
            return await carry_out(self, other, later)
        return outcome

    patch.setattr(transfers.Transfers, "_carry_out", again)


@mistake("an intent made at each try, and its turn forgotten", seed=47)
def _(patch: pytest.MonkeyPatch) -> None:
    carry_out, want = transfers.Transfers._carry_out, transfers._want

    def forgetful(effect, origin):
        return replace(want(effect, origin), turn_key=effect.intent)

    async def fresh(self, effect, origin):
        intent = self._entropy(16).hex()
        return await carry_out(
            self, type(effect)(**{**fields(effect), "intent": intent, "again": True}), origin
        )

    patch.setattr(transfers.Transfers, "_carry_out", fresh)
    patch.setattr(transfers, "_want", forgetful)


@mistake("same-millisecond twins: no ref in what is signed", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    command = signing.TransferAsset
    patch.setattr(
        signing,
        "TransferAsset",
        lambda **given: command(**{**given, "description": "Payment"}),
    )


@mistake("an amount in round figures", seed=2)
def _(patch: pytest.MonkeyPatch) -> None:
    to_decimal = signing.to_decimal
    patch.setattr(
        signing, "to_decimal", lambda money: str(round(int(to_decimal(money)), -2) or 100)
    )


@mistake("send before it is stored", seed=11)
def _(patch: pytest.MonkeyPatch) -> None:
    commit = transfers.Transfers._commit

    async def sent_first(self, order, origin):
        with suppress(LedgerUnreachable):
            await self._outbox._ledger.submit([order.signed.data])
        return await commit(self, order, origin)

    patch.setattr(transfers.Transfers, "_commit", sent_first)


# ---- limits


@mistake("read-then-write limit", seed=10)
def _(patch: pytest.MonkeyPatch) -> None:
    table = reservations._COUNTER
    where = (
        table.c.account_id == bindparam("b_account"),
        table.c.bucket == bindparam("b_bucket"),
        table.c.period == bindparam("b_period"),
    )
    values = {
        "amount": table.c.amount + bindparam("b_amount"),
        "count": table.c.count + 1,
        "movement": bindparam("b_movement"),
    }
    patch.setattr(placing, "_refused", lambda *_: None)
    patch.setattr(reservations, "_TAKE_COUNTER", update(table).where(*where).values(values))


@mistake("a balance of which nothing is on its way", seed=39)
def _(patch: pytest.MonkeyPatch) -> None:
    table, sendable = reservations._HOLDING, reads.sendable
    patch.setattr(reads, "sendable", lambda caps, used, _: sendable(caps, used, caps.held))
    patch.setattr(books.Held, "available", property(lambda held: held.settled))
    patch.setattr(
        reservations,
        "_TAKE_OUTGOING",
        update(table)
        .where(*reservations._of_holding)
        .values(
            outgoing=table.c.outgoing + bindparam("b_amount"), movement=bindparam("b_movement")
        ),
    )


@mistake("room of a receiver whom others are paying", seed=12)
def _(patch: pytest.MonkeyPatch) -> None:
    table = reservations._HOLDING
    patch.setattr(placing, "no_room", lambda *_: None)
    patch.setattr(
        reservations,
        "_TAKE_INCOMING",
        update(table)
        .where(*reservations._of_holding)
        .values(
            incoming=table.c.incoming + bindparam("b_amount"), movement=bindparam("b_movement")
        ),
    )


@mistake("release to today and not to the reserved day", seed=32)
def _(patch: pytest.MonkeyPatch) -> None:
    write = endings.Endings._reservations

    def today(self, *args):
        self.failed = [
            one._replace(payment=one.payment and one.payment._replace(business_day=self.day))
            for one in self.failed
        ]
        return write(self, *args)

    patch.setattr(endings.Endings, "_reservations", today)


@mistake("nothing is given back", seed=17)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(changes.Changes, "_count", lambda *_: None)


@mistake("given back twice", seed=4)
def _(patch: pytest.MonkeyPatch) -> None:
    count = changes.Changes._count
    patch.setattr(
        changes.Changes,
        "_count",
        lambda self, payment, ended, sign: count(self, payment, ended, 2 * sign),
    )


@mistake("what was paid is given back, too", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    end = changes.Changes.end
    patch.setattr(
        changes.Changes,
        "end",
        lambda self, ended, **_: end(self, ended, committed=False),
    )


@mistake("the month is not counted", seed=1)
def _(patch: pytest.MonkeyPatch) -> None:
    counters = reservations._of_counters
    patch.setattr(reservations, "_of_counters", lambda *asked: counters(*asked)[:1])


@mistake("a business day of Greenwich", seed=0)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reservations, "business_day", lambda at: at.astimezone(UTC).date().isoformat())


@mistake("the cap of SMS is for USSD only", seed=27)
def _(patch: pytest.MonkeyPatch) -> None:
    rooms = arithmetic.Sendable.rooms
    patch.setattr(arithmetic.Sendable, "rooms", lambda self, **_: rooms(self, sms=False))
