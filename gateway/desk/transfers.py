"""A payment from "PIN typed" to an answer: checked, signed once, committed once, then waited for.

1.  An intent that already has a payment is answered by that payment's state; no PIN is tried. So
    is a turn that has one: a session that was lost and is repeated has new intents.
2.  What can be refused without the PIN is refused before it costs an attempt (`checks`).
3.  The PIN opens the key. The transaction is built and signed once, its ref in the description.
4.  ONE SQL commit holds the payment, its exact signed bytes and every reservation. Nothing reaches
    the network before it, nothing is signed again after it; rerun whole it finds its own intent.
5.  The outbox sends, the follower settles, and this turn waits for that as long as it may.

The description of a payment to a wallet is its ref, "K7Q2M9XA". A payment to a bank account goes to
`settlement@<bank>`, described as "K7Q2M9XA ACC 000123456": the ref and the account's number. By it
the receiving bank credits the account; what it cannot credit it sends back to the wallet it came
from, as any payment.

What is given back (`GiveBack`) goes the same way; its intent is the dispute's id, and the commit
that stores it answers the dispute and frees what that held (`placing`).

Must not be cancelled half-way: a call goes on by itself, and one turn that asks twice shares it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, Protocol

from gateway import logs
from gateway.batch import Batcher, Overloaded
from gateway.clock import Clock, Entropy
from gateway.desk.amounts import Assets
from gateway.desk.books import Payment
from gateway.desk.checks import Refusal, Want
from gateway.desk.journal import Journal
from gateway.desk.limits import Limits
from gateway.desk.listings import SETTLEMENT, Banks
from gateway.desk.making import Maker
from gateway.desk.pins import Opened
from gateway.desk.placing import Placed, RefTaken, Seen, look, place
from gateway.desk.reservations import Order
from gateway.desk.signing import MaySign, at_once, command_of, fresh_ref
from gateway.desk.times import to_ms
from gateway.desk.unclaimed import NOT_TAKEN
from gateway.desk.waiters import Waiters
from gateway.origin import Origin
from gateway.stores.sql import Sql, StoreUnavailable
from ledger_client.transaction import Member, build
from menus.effects import (
    Committed,
    DisputeOver,
    GiveBack,
    GiveBackOutcome,
    InProgress,
    PayBank,
    PinOutcome,
    Rejected,
    Transfer,
    TransferOutcome,
    Unavailable,
    Unconfirmed,
)
from menus.kinds import Currency, Money, Msisdn, Pin

LOG = logs.get("transfers")
SIGNINGS_MOST: Final = 5  # a ref of 40 random bits that is taken is rare; twice is no accident


class OpensKeys(Protocol):
    """The PIN guard (`pins.PinGuard`)."""

    async def open(
        self, account_id: str, pin: Pin, turn_key: str
    ) -> Opened | PinOutcome | Unconfirmed | Unavailable: ...


class Pokes(Protocol):
    """The outbox, as far as this room knows it."""

    def poke(self) -> None: ...


Asked = Transfer | PayBank | GiveBack
Answer = TransferOutcome | DisputeOver


class Transfers:
    """Carries out `Transfer`, `PayBank` and `GiveBack` effects.

    Without a `maker` nobody is paid unclaimed.
    """

    def __init__(
        self,
        sql: Sql,
        pins: OpensKeys,
        outbox: Pokes,
        waiters: Waiters,
        *,
        limits: Limits,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        assets: Assets = Assets(),  # noqa: B008 - frozen
        banks: Banks = Banks(),  # noqa: B008 - frozen
        maker: Maker | None = None,
        may_sign: MaySign = at_once,
        settled: Callable[[], int] = lambda: 0,
    ) -> None:
        """`settled`: the height of the last block that this process has seen settled."""
        self._may_sign = may_sign
        self._maker = maker
        terms = maker.terms if maker else NOT_TAKEN
        self._banks = banks
        self._pins = pins
        self._outbox = outbox
        self._waiters = waiters
        self._clock = clock
        self._entropy = entropy
        self._assets = assets
        self._look: Batcher[Want, Seen] = Batcher(
            lambda wants: sql.run(
                partial(look, limits, clock.now(), banks=banks, terms=terms), wants
            )
        )
        self._place: Batcher[Order, Placed] = Batcher(
            lambda orders: sql.run(
                partial(place, limits, banks, journal=journal, terms=terms, seen=settled()), orders
            ),
            key=lambda order: order.src_account,
        )
        self._under_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def transfer(self, effect: Transfer | PayBank, origin: Origin) -> TransferOutcome:
        """Pay, or say exactly what is known; see the module for the order of things."""
        done = await self._once(effect.intent, effect, origin)
        return Unavailable() if isinstance(done, DisputeOver) else done

    async def give_back(self, effect: GiveBack, origin: Origin) -> GiveBackOutcome:
        """Pay what was asked back: a payment like any, but that no limit of ours refuses it."""
        done = await self._once(effect.dispute, effect, origin)
        return done if isinstance(done, GiveBackOutcome) else Unavailable()

    async def _once(self, intent: str, effect: Asked, origin: Origin) -> Answer:
        key = (origin.turn_key, intent)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._carry_out(effect, origin))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for the payments under way."""
        while self._under_way:
            await asyncio.wait(set(self._under_way.values()))

    async def _carry_out(self, effect: Asked, origin: Origin) -> Answer:
        want = _want(effect, origin)
        try:
            seen = await self._look(want)
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("payments cannot be looked at", error=error)
            return Unconfirmed()  # who had this turn before may have paid, and died
        if seen.payment is not None:
            return await self._tell(seen.payment, want, origin)
        if seen.refusal is not None:
            return seen.refusal
        opened = await self._open(seen, effect.pin, origin)
        if not isinstance(opened, Opened):
            return opened
        want = replace(want, dest_account=seen.dest_account)
        placed = await self._sign_and_place(want, opened, origin, seen.earlier)
        if isinstance(placed, Payment):
            self._outbox.poke()
            return await self._tell(placed, want, origin)
        return placed

    async def _open(
        self, seen: Seen, pin: Pin, origin: Origin
    ) -> Opened | PinOutcome | Unconfirmed | Unavailable:
        if not await self._may_sign(self._left_s(origin)):
            return Unconfirmed()  # it may be paid already: what came after a backup is not known
        return await self._pins.open(seen.src_account, pin, origin.turn_key)

    async def _sign_and_place(
        self, want: Want, opened: Opened, origin: Origin, earlier: int
    ) -> Payment | Refusal | Unconfirmed:
        for _ in range(SIGNINGS_MOST):
            if self._left_s(origin) <= 0:
                return Unavailable()  # its turn was answered without it: it must not pay now
            order = self._sign(want, opened, earlier)
            placed = await self._commit(order, origin)
            if not isinstance(placed, RefTaken):
                return placed
        LOG.error("every ref is taken: is the source of chance broken?")
        return Unavailable()

    def _sign(self, want: Want, opened: Opened, earlier: int) -> Order:
        src_account, key_version = opened.account_id, opened.sealed.key_version
        ref = fresh_ref(self._entropy)
        at_ms = to_ms(self._clock.now())

        def pay(dest_account: str) -> Member:
            paid = replace(want, dest_account=dest_account)
            command = command_of(paid, src_account, ref, self._assets)
            return src_account, [command], at_ms, opened.key

        if self._maker and isinstance(want.to, Msisdn) and not want.dest_account:
            made = self._maker.draw_up(want.to, earlier, at_ms, pay)
            signed, opening = made.payment, made.opening
            want = replace(want, dest_account=opening.account_id)
        else:
            creator, commands, _, key = pay(want.dest_account)
            signed, opening = build(creator, commands, at_ms, key=key), None
        return Order(want, ref, src_account, key_version, signed, at_ms, opening)

    async def _commit(self, order: Order, origin: Origin) -> Placed:
        """Place the order; when the fate of a commit is unknown, again, until it is known."""
        unknown = False
        while True:
            try:
                return await self._place(order)
            except (StoreUnavailable, Overloaded) as error:
                LOG.warning("a payment could not be placed", ref=order.ref, error=error)
                unknown = unknown or (isinstance(error, StoreUnavailable) and error.maybe_committed)
                if not unknown:
                    return Unavailable()
            if self._left_s(origin) <= 0:
                return Unconfirmed()
            await self._clock.sleep(min(0.1, self._left_s(origin)))

    async def _tell(self, payment: Payment, want: Want, origin: Origin) -> TransferOutcome:
        """What became of a payment that is stored, as soon as that is known."""
        if payment.src_msisdn != want.sender.e164:
            LOG.error("an intent of somebody else's was asked for", ref=payment.ref)
            return Unavailable()
        if payment.state == "signed":
            state = await self._waiters.settled(payment.tx_hash, self._left_s(origin))
            if state is None:
                return InProgress(payment.ref)
        try:
            seen = await self._look(want)
        except (StoreUnavailable, Overloaded) as error:
            LOG.warning("a payment cannot be read", ref=payment.ref, error=error)
            return InProgress(payment.ref)  # its receipt tells
        return outcome_of(seen.payment or payment, self._banks, seen)

    def _left_s(self, origin: Origin) -> float:
        return origin.deadline - self._clock.monotonic()


def _want(effect: Asked, origin: Origin) -> Want:
    if isinstance(effect, GiveBack):
        return Want(
            effect.dispute,
            origin.turn_key,
            origin.msisdn,
            effect.to,
            effect.account_id,
            effect.amount,
            again=True,
            channel=origin.channel,
            returns=True,
        )
    if isinstance(effect, Transfer):
        dest_account = effect.account_id
    else:
        dest_account = SETTLEMENT + effect.to.bank.domain
    return Want(
        effect.intent,
        origin.turn_key,
        origin.msisdn,
        effect.to,
        dest_account,
        effect.amount,
        effect.again,
        origin.channel,
        unclaimed=isinstance(effect, Transfer) and not effect.account_id,
    )


def outcome_of(payment: Payment, banks: Banks, seen: Seen) -> Committed | InProgress | Rejected:
    """A stored payment as its sender hears of it."""
    if payment.state == "signed":
        return InProgress(payment.ref)
    if payment.state != "committed":
        return Rejected(payment.ref)
    currency = Currency(payment.currency)
    amount, balance = Money(currency, payment.amount), Money(currency, seen.balance)
    return Committed(payment.ref, banks.paid(payment), seen.name, amount, balance)
