"""One handler per effect, and how long each may take.

The only place that knows both an effect's type and who carries it out. What is slow or away
becomes an outcome that says so: nothing here lets a turn hang. Work on money goes on in the
background when its turn can wait no longer.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, Protocol, TypeVar, assert_never

from gateway import logs
from gateway.batch import Overloaded
from gateway.clock import Clock
from gateway.meters import Meters
from gateway.origin import Origin
from gateway.stores.sql import StoreUnavailable
from menus import effects as e

LOOK_S: Final = 1.2  # turns that move no money answer within 1.5 s
LATE_S: Final = 0.8  # what a handler may take beyond its origin's deadline
TOLD: Final = (
    e.OpenWallet,
    e.ChangePin,
    e.ChoosePin,
    e.RenewKey,
    e.Transfer,
    e.PayBank,
    e.Dispute,
    e.GiveBack,
    e.KeepMoney,
)  # what changes something of worth is logged
LOG = logs.get("handlers")

O_co = TypeVar("O_co", bound=e.Outcome, covariant=True)
E_contra = TypeVar("E_contra", contravariant=True)


class Handler(Protocol[E_contra, O_co]):
    """Carries out one kind of effect."""

    async def __call__(self, effect: E_contra, origin: Origin, /) -> O_co: ...


class Handlers:
    """Carries out effects. Constructed once, with one handler for each."""

    def __init__(
        self,
        *,
        keep: Handler[e.Keep, e.KeepOutcome],
        compare: Handler[e.Compare, e.CompareOutcome],
        find_payee: Handler[e.FindPayee, e.FindPayeeOutcome],
        set_language: Handler[e.SetLanguage, e.SetLanguageOutcome],
        open_wallet: Handler[e.OpenWallet, e.OpenWalletOutcome],
        change_pin: Handler[e.ChangePin, e.ChangePinOutcome],
        choose_pin: Handler[e.ChoosePin, e.ChoosePinOutcome],
        renew_key: Handler[e.RenewKey, e.RenewKeyOutcome],
        transfer: Handler[e.Transfer | e.PayBank, e.TransferOutcome],
        dispute: Handler[e.Dispute, e.DisputeOutcome],
        give_back: Handler[e.GiveBack, e.GiveBackOutcome],
        keep_money: Handler[e.KeepMoney, e.KeepMoneyOutcome],
        read_balance: Handler[e.ReadBalance, e.BalanceOutcome],
        read_last_payment: Handler[e.ReadLastPayment, e.LastPaymentOutcome],
        clock: Clock,
        meters: Meters,
    ) -> None:
        self._keep = keep
        self._compare = compare
        self._find_payee = find_payee
        self._set_language = set_language
        self._open_wallet = open_wallet
        self._change_pin = change_pin
        self._choose_pin = choose_pin
        self._renew_key = renew_key
        self._transfer = transfer
        self._dispute = dispute
        self._give_back = give_back
        self._keep_money = keep_money
        self._read_balance = read_balance
        self._read_last_payment = read_last_payment
        self._clock = clock
        self._meters = meters
        self._going_on: set[asyncio.Future[Any]] = set()

    async def __call__(self, effect: e.Effect, origin: Origin) -> e.Outcome:
        """Carry out `effect`; always an outcome, and in time."""
        outcome = await self._carry_out(effect, origin)
        asked, came = type(effect).__name__, type(outcome).__name__
        self._meters.effects.labels(asked, came).inc()
        if isinstance(effect, TOLD):
            ref = getattr(outcome, "ref", None)
            where = {"channel": origin.channel, "session": origin.session, "turn": origin.turn}
            LOG.info("done", effect=asked, outcome=came, ref=ref, **where)
        return outcome

    async def drain(self) -> None:
        """Wait for work whose turn has already been answered."""
        if self._going_on:
            await asyncio.wait(self._going_on)

    async def _carry_out(self, effect: e.Effect, origin: Origin) -> e.Outcome:  # noqa: C901, PLR0911, PLR0912  # one each
        match effect:
            case e.Keep():
                return await self._quick(self._keep(effect, origin))
            case e.Compare():
                return await self._quick(self._compare(effect, origin))
            case e.FindPayee():
                return await self._quick(self._find_payee(effect, origin))
            case e.SetLanguage():
                return await self._quick(self._set_language(effect, origin))
            case e.ReadBalance():
                return await self._quick(self._read_balance(effect, origin))
            case e.ReadLastPayment():
                return await self._quick(self._read_last_payment(effect, origin))
            case e.ChangePin():
                return await self._to_the_end(
                    self._change_pin(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.ChoosePin():
                return await self._to_the_end(
                    self._choose_pin(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.RenewKey():
                return await self._to_the_end(
                    self._renew_key(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.OpenWallet():
                return await self._to_the_end(
                    self._open_wallet(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.Transfer() | e.PayBank():
                return await self._to_the_end(
                    self._transfer(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.Dispute():
                return await self._to_the_end(
                    self._dispute(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.GiveBack():
                return await self._to_the_end(
                    self._give_back(effect, origin), origin, late=e.Unconfirmed()
                )
            case e.KeepMoney():
                return await self._to_the_end(
                    self._keep_money(effect, origin), origin, late=e.Unconfirmed()
                )
            case _:
                assert_never(effect)

    async def _quick(self, work: Awaitable[e.Outcome]) -> e.Outcome:
        """Something that may be given up: nothing happened if it does not answer."""
        try:
            async with asyncio.timeout(LOOK_S):
                return await work
        except (TimeoutError, StoreUnavailable, Overloaded) as error:
            LOG.warning("a part does not answer", error=error)
            return e.Unavailable()

    async def _to_the_end(
        self, work: Awaitable[e.Outcome], origin: Origin, *, late: e.Outcome
    ) -> e.Outcome:
        """Something that is never given up: when its turn must be answered, `late` is the truth."""
        task = asyncio.ensure_future(work)
        self._going_on.add(task)
        task.add_done_callback(self._ended)
        patience_s = origin.deadline + LATE_S - self._clock.monotonic()
        await asyncio.wait({task}, timeout=max(patience_s, 0.0))
        if not task.done():
            return late
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, Overloaded):
            return e.Unavailable()  # refused before anything was done
        if isinstance(error, StoreUnavailable) and not error.maybe_committed:
            return e.Unavailable()
        return late

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._going_on.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, (StoreUnavailable, Overloaded)):
            LOG.warning("a part does not answer", error=error)
        elif error:
            self._meters.faults.labels("handlers").inc()
            LOG.error("an effect failed", error=error)
