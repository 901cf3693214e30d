"""Who dials, and what they type, when every conversation is walked (explore.py).

One person per situation that a form, a menu or a check tells apart, with the largest figures, and
every kind of input: what is asked for, in its longest form, and what is wrong in each known way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from menus.bank_accounts import LONGEST_BANK, BankAccount
from menus.disputes import AskedBack
from menus.effects import LimitKind
from menus.facts import Facts, Recent, Service, WalletFacts
from menus.kinds import Currency, Money, Msisdn, PaidTo
from menus.limits import Sendable
from menus.worst import NOW, worst

PIN: Final = "730264"
OTHER: Final = Msisdn.worst()[0]
_OWN: Final = Msisdn("+85512345601")
_FOREIGN: Final = Msisdn("+14155550100")
_TYPED_NUMBER: Final = OTHER.show.replace(" ", "")

# Typed everywhere: the commands, nothing, nonsense, a text whose direction is turned, too much.
ANYWHERE: Final = ("0", "00", "", "x", "\u202e1", "៥" * 200)
CHOICES: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12")
SECRETS: Final = (PIN, "123456", "1234")  # a good one, a weak one, a short one
ACCOUNTS: Final = ("8888-8888-8888-8888-8888", "12345")
ANSWERS: Final = (
    _TYPED_NUMBER,
    "012345601",  # one's own
    "023721234",  # no mobile
    "999999999",
    "999999.99",
    "999999999 KHR",
    "999999.99 USD",
    "1.5 KHR",
    "0.00",
)
DIALLED: Final = (
    (),
    (_TYPED_NUMBER,),
    (_TYPED_NUMBER, "999999999"),
    (_TYPED_NUMBER, "999999.99 USD"),
    (_TYPED_NUMBER, "999999999", PIN),
    (PIN,),
    ("x", "x", "x"),
)
# What they write by SMS, after the words that open a form.
WRITTEN: Final = (
    "",
    f"999999999 {_TYPED_NUMBER}",
    f"999999.99 USD {_TYPED_NUMBER}",
    f"1 {_TYPED_NUMBER}",
    "999999999 012345601",
    "5000 023721234",
    f"0 {_TYPED_NUMBER}",
    f"5000 {_TYPED_NUMBER} {PIN}",
    worst(str, "ref")[0],
    "x",
)
ALSO_WRITTEN: Final = ("HELP", "", "hello", PIN, "YES", "YES 8888", f"YES 888888 {PIN}")
SERVICE: Final = Service(
    bank=LONGEST_BANK,
    service_code="*384*123456#",
    shortcode="855",
    unclaimed_days=365,
    # More than a Khmer page holds; all the same, so that whoever walks to one has been at each.
    banks=(("bank", LONGEST_BANK),) * 4,
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in one situation."""

    name: str
    facts: Facts


def people(language: str) -> tuple[Person, ...]:
    """Everybody who may dial, speaking one language. A role with a menu of its own joins here."""
    stranger = Facts(_OWN, NOW, "w" * 22, language, None, SERVICE)
    wallets = {
        "opening": WalletFacts("opening"),
        "made": WalletFacts("opening", has_pin=False),
        "riel only": WalletFacts("open", sendable=_sendable()),
        "dollars": WalletFacts("open", dollars=True, sendable=_sendable()),
        "without a PIN": WalletFacts("open", has_pin=False, sendable=_sendable()),
        "unclaimed": WalletFacts("open", has_pin=False, waits=True, sendable=_sendable()),
        "getting a new key": WalletFacts("open", renewing=True, sendable=_sendable()),
        "held": WalletFacts("held", sendable=_sendable()),
        **{f"asked back by {it.name}": _asked(it) for it in AskedBack.worst() if it.name},
        **{f"at limit {kind}": _limited(kind) for kind in LimitKind},
        **{f"paid before, settled {settled}": _repeating(settled) for settled in (True, False)},
    }
    return (
        Person("first dial", replace(stranger, language=None, service=_spoken(language))),
        Person("no wallet", stranger),
        Person("another country's number", replace(stranger, msisdn=_FOREIGN)),
        *(Person(name, replace(stranger, wallet=wallet)) for name, wallet in wallets.items()),
    )


def _spoken(language: str) -> Service:
    return replace(SERVICE, language=language)


def _sendable(**tight: int) -> Mapping[Currency, Sendable]:
    most = {money.currency: money.minor for money in Money.worst()}
    rooms = ("per_transfer", "sms", "balance", "day", "month")
    return {
        currency: Sendable(
            **{
                "least": 1,
                "count": 9,
                **{room: largest - tight.get(room, 0) for room in rooms},
                **{name: left for name, left in tight.items() if name not in rooms},
            }
        )
        for currency, largest in most.items()
    }


def _limited(kind: LimitKind) -> WalletFacts:
    """Make a wallet where the largest amount just passes every limit but one."""
    tight = {
        LimitKind.LEAST: {"least": 10**9, "balance": 1},  # nothing can be sent
        LimitKind.MOST: {"per_transfer": 1},
        LimitKind.SMS: {"sms": 1},
        LimitKind.BALANCE: {"balance": 1},
        LimitKind.DAY: {"day": 1},
        LimitKind.MONTH: {"month": 1},
        LimitKind.COUNT: {"count": 0},
    }
    return WalletFacts("open", sendable=_sendable(**tight[kind]))


def _asked(asked_back: AskedBack) -> WalletFacts:
    return WalletFacts("open", sendable=_sendable(), asked_back=asked_back)


def _repeating(settled: bool) -> WalletFacts:  # noqa: FBT001 - a row of a table
    amount, ref = Money.worst()[0], worst(str, "ref")[0]
    paid_to: tuple[PaidTo, ...] = (*BankAccount.worst(), OTHER)
    recent = tuple(Recent(to, amount, NOW, settled, ref) for to in paid_to)
    return WalletFacts("open", sendable=_sendable(), recent=recent)
