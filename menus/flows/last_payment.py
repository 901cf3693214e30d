"""What became of a payment, the last or a named one: the place to look before paying again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, assert_never

from menus.disputes import Later, PaidOut
from menus.effects import (
    LastAndEarlier,
    LastPaidOut,
    LastPayment,
    LastPaymentOutcome,
    NoPayment,
    ReadLastPayment,
    Unavailable,
)
from menus.flows.dispute import DisputeForm, never
from menus.forms import OnlyIf, Opening, Page, ends, form
from menus.kind import Context, Json, Kind, Refusal
from menus.reading import plain

_REF: Final = re.compile(r"[0-9A-Z]{8}").fullmatch
_LOOKALIKES: Final = str.maketrans("OIL", "011", "# -")  # no ref holds O, I or L


@dataclass(frozen=True, slots=True)
class Ref(Kind):
    """What a receipt calls a payment; empty for whichever was the last."""

    text: str

    dialable: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str, context: Context) -> "Ref | Refusal":  # noqa: ARG003
        written = (plain(text) or "").upper().translate(_LOOKALIKES)
        return cls(written) if _REF(written) else Refusal("last.unclear")

    @property
    def show(self) -> str:
        return self.text

    def dump(self) -> Json:
        return self.text

    @classmethod
    def load(cls, dumped: Json) -> "Ref":
        return cls(str(dumped))

    @classmethod
    def worst(cls) -> Sequence["Ref"]:
        return (cls("W" * 8),)


@form("last", dial=3, sms="LAST|STATUS ref")
class LastPaymentForm:
    """Tell the state of the last payment, out or in; by SMS also of one that is named."""

    ref: Annotated[Ref, OnlyIf(never)] = Ref("")  # a menu has no place for it

    def effect(self) -> ReadLastPayment:
        return ReadLastPayment(self.ref.text)

    def reply(self, outcome: LastPaymentOutcome) -> Page:
        match outcome:
            case LastPayment():
                return _told(outcome)
            case LastAndEarlier(last, earlier):
                return _told(last, earlier)
            case LastPaidOut(payment):
                opens = Opening(DisputeForm, {"payment": payment})
                return Page("last.paid", payment.holes("payment"), opens=opens)
            case NoPayment():
                return ends("last.unknown" if self.ref.text else "last.none")
            case Unavailable():
                return ends("engine.unavailable")
            case _:
                assert_never(outcome)


def _told(last: LastPayment, earlier: PaidOut | None = None) -> Page:
    """Tell it; in a session above the choice of an earlier one, if that may be asked back."""
    later = Later(last.state, last.ref, last.amount, last.other, last.at)
    opens = Opening(DisputeForm, {"payment": earlier, "later": later}) if earlier else None
    return Page(f"last.{last.state}", later.told, opens=opens)
