"""Forms are frozen values, and one that could not work is refused when it is defined."""

from dataclasses import FrozenInstanceError, fields
from typing import Annotated

import pytest
from talk import CHAN

from menus.catalogue import CATALOGUE, FORMS, MENUS, menu_for
from menus.effects import Balance, ReadBalance, Unavailable
from menus.flows.balance import BalanceForm
from menus.flows.change_pin import ChangePinForm
from menus.flows.paying import Again
from menus.flows.send_money import SendMoney
from menus.forms import Intent, Menu, OnlyIf, Page, WrongForm, about, ends, form, questions
from menus.kinds import Currency, Money, Msisdn, Pin
from menus.lookups import NewPin, Payee, PayeeBank


def always(*_):
    """A condition, and a check that refuses nothing."""


class Silent:
    """The part of a form that these tests do not look at."""

    def effect(self) -> ReadBalance:
        return ReadBalance()

    def reply(self, outcome: Balance | Unavailable) -> Page:
        return ends("engine.busy", outcome=str(outcome))


def test_a_field_is_a_question_and_its_type_the_parser():
    asked = [(question.field, question.kind) for question in questions(SendMoney)]
    assert asked == [
        ("to", Payee),
        ("bank", PayeeBank),
        ("currency", Currency),
        ("amount", Money),
        ("again", Again),
        ("pin", Pin),
    ]
    assert about(SendMoney).intent == "intent"
    assert about(SendMoney).pin == questions(SendMoney)[-1]
    assert about(ChangePinForm).pin
    assert about(BalanceForm).questions == ()


def test_forms_are_frozen_and_show_no_pin():
    paid = SendMoney(
        to=Payee(CHAN, "a", ""),
        amount=Money(Currency.KHR, 1),
        intent=Intent("i"),
        pin=Pin("730264"),
    )
    assert paid.currency is Currency.KHR
    assert "730264" not in repr(paid)
    with pytest.raises(FrozenInstanceError):
        paid.amount = Money(Currency.KHR, 2)


def test_the_shape_changes_with_what_saved_answers_depend_on():
    shapes = set()
    for kind in (Msisdn, Money, Annotated[Money, always]):

        @form("shaped")
        class Shaped(Silent):
            one: kind

        shapes.add(about(Shaped).shape)
    assert len(shapes) == 2  # a check may change; what is saved may not


def no_kind():
    class Wrong(Silent):
        one: int

    return Wrong


def pin_first():
    class Wrong(Silent):
        pin: Pin
        to: Msisdn

    return Wrong


def new_pin_before_a_question():
    class Wrong(Silent):
        pin: NewPin
        to: Msisdn

    return Wrong


def two_pins():
    class Wrong(Silent):
        old: Pin
        pin: Pin

    return Wrong


def condition_without_default():
    class Wrong(Silent):
        one: Annotated[Currency, OnlyIf(always)]

    return Wrong


def default_without_condition():
    class Wrong(Silent):
        one: Currency = Currency.KHR

    return Wrong


def strange_extra():
    class Wrong(Silent):
        one: Annotated[Currency, "a note"]

    return Wrong


@pytest.mark.parametrize(
    "make",
    [
        no_kind,
        pin_first,
        new_pin_before_a_question,
        two_pins,
        condition_without_default,
        default_without_condition,
        strange_extra,
    ],
)
def test_a_form_that_could_not_work_is_refused(make):
    with pytest.raises(WrongForm):
        form("wrong")(make())


@pytest.mark.parametrize("options", [{"sms": "WORD amount"}, {"resume": ("amount",)}])
def test_a_form_names_only_its_own_fields(options):
    class Wrong(Silent):
        one: Currency

    with pytest.raises(WrongForm, match="no field amount"):
        form("wrong", **options)(Wrong)


def test_every_form_of_a_menu_is_in_the_catalogue_and_names_are_unique():
    for menu in MENUS:
        for below in menu.menus():
            assert {entry for entry in below.entries if not isinstance(entry, Menu)} <= set(FORMS)
    assert len({about(cls).name for cls in FORMS}) == len(FORMS)
    assert CATALOGUE.menu_for is menu_for
    assert all(fields(cls) is not None for cls in FORMS)
