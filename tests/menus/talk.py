"""A phone and a world for the tests of conversations: every turn goes through JSON, as in life."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from menus.effects import (
    Balance,
    ChangePin,
    ChoosePin,
    Committed,
    Compare,
    Different,
    Effect,
    FindPayee,
    Keep,
    Kept,
    KeyRenewed,
    LanguageSet,
    NoPayment,
    NoWallet,
    OpenWallet,
    Outcome,
    PayBank,
    PayeeFound,
    PinChanged,
    ReadBalance,
    ReadLastPayment,
    RenewKey,
    Same,
    SetLanguage,
    Transfer,
    WalletOpening,
    WrongPin,
)
from menus.engine import Engine, Facts, Service, State, Turn, WalletFacts
from menus.kinds import Currency, Money, Msisdn
from menus.limits import Caps, Used, sendable
from menus.text.load import PACKAGED, Texts, read_language

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
PIN = "730264"
CHAN = Msisdn("+85512345602")
STRANGER = Msisdn("+85512345605")
KHR_CAPS = Caps(100, 2_000_000, 2_000_000, 20_000_000, 20, 4_000_000, 200_000)
USD_CAPS = Caps(1, 500_00, 500_00, 5_000_00, 20, 1_000_00, 50_00)
OPEN = WalletFacts(
    "open",
    sendable={
        Currency.KHR: sendable(KHR_CAPS, Used(), 400_000),
        Currency.USD: sendable(USD_CAPS, Used(), 100_00),
    },
)
DOLLARS = replace(OPEN, dollars=True)
SOK = Facts(
    msisdn=Msisdn("+85512345601"),
    now=NOW,
    fresh_id="",
    language="en",
    wallet=OPEN,
    service=Service("Bank", "*855#", "855"),
)


def texts() -> Texts:
    """English for both languages, so that these tests do not wait for a translation."""
    english = read_language(PACKAGED / "en.toml")
    return Texts({"en": english, "km": english})


ENGINE = Engine(texts())


@dataclass
class World:
    """Answers every effect as a healthy service would; `kept` are its sealed PINs."""

    kept: dict[str, str] = field(default_factory=dict)
    done: list[Effect] = field(default_factory=list)

    def __call__(self, effect: Effect) -> Outcome:  # noqa: C901, PLR0911 - one case per effect
        self.done.append(effect)
        match effect:
            case Keep(_, pin):
                token = f"token-{len(self.kept)}"
                self.kept[token] = pin.digits
                return Kept(token)
            case Compare(_, token, pin):
                return Same() if self.kept[token] == pin.digits else Different()
            case FindPayee(to):
                return NoWallet(to) if to == STRANGER else PayeeFound(to, "a@bank", "C*** T***")
            case SetLanguage(language):
                return LanguageSet(language)
            case OpenWallet():
                return WalletOpening()
            case ChangePin(_, old):
                return PinChanged() if old.digits == PIN else WrongPin(2)
            case ChoosePin():
                return KeyRenewed()
            case RenewKey(_, old):
                return KeyRenewed() if old.digits == PIN else WrongPin(2)
            case Transfer(to=to, amount=amount, pin=pin) | PayBank(to=to, amount=amount, pin=pin):
                if pin.digits != PIN:
                    return WrongPin(2)
                return Committed("R7", to, "C*** T***", amount, Money(amount.currency, 395_000))
            case ReadBalance():
                return Balance((Money(Currency.KHR, 400_000),), None)
            case ReadLastPayment():
                return NoPayment()


@dataclass
class Phone:
    """Somebody talking to the service; `said` is everything the service ever stored."""

    facts: Facts = SOK
    world: Callable[[Effect], Outcome] = field(default_factory=World)
    engine: Engine = ENGINE
    turn: Turn = field(default_factory=lambda: Turn(None))
    said: list[str] = field(default_factory=list)
    ids: int = 0

    def dial(self, *dialled: str, previous: State | None = None) -> "Phone":
        return self._settle(self.engine.begin(self._now(), dialled=dialled, previous=previous))

    def type(self, *inputs: str) -> "Phone":
        for text in inputs:
            self._settle(self.engine.hear(self.state, text, self._now()))
        return self

    @property
    def state(self) -> State | None:
        return State.load(json.loads(self.said[-1]))

    @property
    def screen(self) -> str:
        assert self.turn.page
        return self.turn.page.text

    @property
    def ended(self) -> bool:
        return bool(self.turn.page and self.turn.page.end)

    @property
    def intent(self) -> str:
        assert self.state
        assert self.state.intent
        return self.state.intent.id

    def _now(self) -> Facts:
        self.ids += 1
        return replace(self.facts, fresh_id=f"id-{self.ids}")

    def _settle(self, turn: Turn) -> "Phone":
        while turn.effect:
            assert turn.page is None
            turn = self.engine.heard(turn.state, self.world(turn.effect), self._now())
        self.turn = turn
        self.said.append(json.dumps(turn.state.dump() if turn.state else None))
        return self


def answering(*outcomes: tuple[type[Effect], Outcome]) -> Callable[[Effect], Outcome]:
    """A world in which these effects have these outcomes, in turn; the others are healthy."""
    world, script = World(), list(outcomes)

    def answer(effect: Effect) -> Outcome:
        for index, (kind, outcome) in enumerate(script):
            if isinstance(effect, kind):
                del script[index]
                return outcome
        return world(effect)

    return answer


def transfers(phone: Phone) -> Sequence[Transfer]:
    """What was paid with."""
    assert isinstance(phone.world, World)
    return [effect for effect in phone.world.done if isinstance(effect, Transfer)]
