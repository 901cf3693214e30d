"""The proof finds what it is for: each mistake, made on purpose, is named with its place."""

from dataclasses import replace
from typing import Annotated

import pytest

from menus import lint as lint_module
from menus.effects import Balance, ReadBalance, Unavailable
from menus.encoding import PageSize
from menus.engine import Engine
from menus.explore import Findings, Spoken, Walk
from menus.flows.balance import BalanceForm
from menus.flows.language import ChooseLanguage
from menus.forms import Catalogue, Menu, Page, WrongForm, ends, form
from menus.kinds import Money, Pin, Refusal
from menus.lint import lint, main
from menus.people import people
from menus.text.load import PACKAGED, read_language
from menus.worst import NoWorstValue, worst

TINY = """
[tiny]
amount = "How much?"
done = "Done: {amount}"
away = "Not now"
"""


def tiny_form(dial=None, sms=None, said="done", hole="amount"):
    """A form small enough that walking it takes no time."""

    @form("tiny", dial=dial, sms=sms)
    class Tiny:
        amount: Money

        def effect(self) -> ReadBalance:
            return ReadBalance()

        def reply(self, outcome: Balance | Unavailable) -> Page:
            if isinstance(outcome, Unavailable):
                return ends("tiny.away")
            return ends(f"tiny.{said}", **{hole: self.amount.show})

    return Tiny


def catalogue_of(*forms):
    menu = Menu("home", forms)
    return Catalogue((ChooseLanguage, *forms), lambda _: menu, first=ChooseLanguage)


@pytest.fixture
def folder(tmp_path):
    """English texts of the engine and of the tiny form."""

    def make(tiny=TINY, **languages):
        english = (PACKAGED / "en.toml").read_text(encoding="utf-8")
        english = english.replace("[menu]", '[menu]\ntiny = "Tiny"')
        (tmp_path / "en.toml").write_text(english + tiny, encoding="utf-8")
        for language, change in languages.items():
            text = change(english + tiny)
            (tmp_path / f"{language}.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return make


def problems(folder, *forms, **options):
    report = lint(folder, catalogue_of(*(forms or (tiny_form(),))), **options)
    return [problem for problem in report.problems if "is said nowhere" not in problem]


def only(found, *parts):
    """The one problem found, which names all of this."""
    (problem,) = found
    for part in parts:
        assert part in problem
    return problem


def test_what_is_right_is_proved(folder):
    assert problems(folder()) == []


def test_a_text_too_long_for_its_page_is_named_with_size_and_worst_value(folder):
    long = TINY.replace("Done: {amount}", "x" * 150 + " {amount}")
    only(
        problems(folder(long)),
        "en.toml: tiny.done: 166 GSM-7, a page holds 160",
        "999,999,999 KHR",
        "after dial > 1 > 999999999 > Balance",
    )


def test_a_question_too_long_with_its_commands_is_named(folder):
    long = TINY.replace("How much?", "x" * 155)
    only(problems(folder(long)), "en.toml: tiny.amount + engine.back: 162 GSM-7")


def test_one_khmer_letter_halves_the_page(folder):
    def khmer(english):
        return english.replace("Done: {amount}", "បាន" + "x" * 70 + " {amount}")

    found = problems(folder(km=khmer))
    assert any("km.toml: tiny.done: 89 UCS-2, a page holds 80" in problem for problem in found)


def test_a_smaller_page_is_proved_by_its_own_size(folder):
    assert problems(folder(), page=PageSize(septets=20, units=20))


def test_a_text_that_is_not_there_is_named(folder):
    lacking = TINY.replace('away = "Not now"', "")
    only(problems(folder(lacking)), "en tiny: Unavailable", "no text is called 'tiny.away'")


def test_a_hole_that_nobody_fills_is_named(folder):
    holed = TINY.replace("Not now", "Not now, {name}")
    only(problems(folder(holed)), "tiny: Unavailable", "'tiny.away' has the holes ['name']")


def test_a_text_that_nothing_says_is_named(folder):
    dead = TINY + 'forgotten = "Nobody hears this"\n'
    report = lint(folder(dead), catalogue_of(tiny_form()))
    assert "en.toml: tiny.forgotten: is said nowhere" in report.problems


def test_every_difference_between_languages_is_named(folder):
    def km(english):
        changed = english.replace('away = "Not now"', "").replace("Done: {amount}", "{sum}")
        return changed + 'more = "x"\n'

    assert [problem.partition(": ")[2] for problem in problems(folder(km=km))] == [
        "km lacks tiny.away",
        "km has tiny.more, which en lacks",
        "km has the holes ['sum'] in tiny.done, en has ['amount']",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Not now\u2026", "en.toml: tiny.away: has '\u2026' (U+2026), which is not GSM-7"),
        ("Not\u200b now", "en.toml: tiny.away: has U+200B, which takes room and shows nothing"),
        ("Not  now", "en.toml: tiny.away: has spaces that nobody sees"),
        ("{0}", "en.toml: tiny.away: {0} is not a plain hole"),
        ('"', "en.toml: "),
    ],
)
def test_what_no_text_may_be_is_named(folder, text, says):
    found = problems(folder(TINY.replace("Not now", text)))
    assert any(problem.startswith(says) for problem in found), found


def test_two_forms_with_one_direct_dial_number_are_named(folder):
    assert "forms: direct-dial number 2 is two forms'" in problems(
        folder(), tiny_form(dial=2), BalanceForm
    )


@pytest.mark.parametrize("word", ["BAL", "YES"])
def test_an_sms_word_with_two_meanings_is_named(folder, word):
    found = problems(folder(), tiny_form(sms=f"{word} amount"), BalanceForm)
    assert f"forms: SMS word {word} means two things" in found


def test_a_form_in_no_menu_is_named(folder):
    report = lint(
        folder(),
        Catalogue((ChooseLanguage, tiny_form()), lambda _: Menu("home", ()), ChooseLanguage),
    )
    assert "forms: tiny stands in no menu" in report.problems


def test_a_pin_that_is_not_last_and_what_is_no_check_are_refused_when_the_form_is_made():
    with pytest.raises(WrongForm, match="PIN"):

        @form("wrong")
        class PinFirst:
            pin: Pin
            amount: Money

    with pytest.raises(WrongForm, match="neither a check"):

        @form("wrong")
        class NoCheck:
            amount: Annotated[Money, "at most 5000"]

    with pytest.raises(WrongForm, match="no field to"):

        @form("wrong", sms="PAY amount to")
        class NoField:
            amount: Money


def test_a_refusal_by_a_check_is_walked_too(folder):
    def never(_amount, _facts) -> Refusal | None:
        return Refusal("tiny.nowhere")

    @form("tiny")
    class Refusing:
        amount: Annotated[Money, never]

        def effect(self) -> ReadBalance:
            return ReadBalance()

        def reply(self, outcome: Balance) -> Page:  # noqa: ARG002 - found by its name
            return ends("tiny.away")

    assert any("no text is called 'tiny.nowhere'" in p for p in problems(folder(), Refusing))


def test_a_receipt_over_its_sms_budget_is_named(tmp_path):
    english = (PACKAGED / "en.toml").read_text(encoding="utf-8")
    (tmp_path / "en.toml").write_text(english.replace("Left to send", "x" * 60), encoding="utf-8")
    found = lint(tmp_path, catalogue_of(BalanceForm)).problems
    assert any(
        problem.startswith("en.toml: receipt.sent: ") and "2 SMS, at most 1" in problem
        for problem in found
    )


class Stuck(Engine):
    """An engine whose screens cannot be left."""

    def hear(self, state, text, facts):
        turn = super().hear(state, text, facts)
        return super().hear(state, "x", facts) if text in ("0", "00") else turn


@pytest.fixture
def walked(folder):
    def walk(engine_class):
        texts = Spoken({"en": read_language(folder() / "en.toml")}, "en")
        catalogue, found = catalogue_of(tiny_form()), Findings()
        engine = engine_class(texts, catalogue, PageSize())
        Walk(engine, catalogue, texts, found, person=people("en")[3], language="en").everywhere()
        return [problem.what for problem in found.problems.values()]

    return walk


def test_a_screen_that_cannot_be_left_is_named(walked):
    assert walked(Engine) == []
    assert {"00 does not lead home", "0 does not lead back"} <= set(walked(Stuck))


def test_a_type_whose_worst_value_nobody_knows_is_an_error():
    with pytest.raises(NoWorstValue, match="'nickname'"):
        worst(str, "nickname")
    with pytest.raises(NoWorstValue):
        worst(float, "rate")


# --- the command; the tree itself is proved by `make check` --------------------------------------


def test_the_command_prints_a_line_per_problem_and_fails(monkeypatch, capsys):
    report = lint_module.Report(("en.toml: a: wrong", "km.toml: b: wrong"))
    monkeypatch.setattr(lint_module, "lint", lambda: report)
    assert main([]) == 1
    assert capsys.readouterr().err == "en.toml: a: wrong\nkm.toml: b: wrong\n"


def test_the_command_writes_the_map(monkeypatch, capsys, tmp_path, folder):
    tiny = replace(lint(folder(km=str), catalogue_of(tiny_form())), problems=())
    monkeypatch.setattr(lint_module, "lint", lambda: tiny)
    monkeypatch.setattr(lint_module, "PACKAGED", folder())
    target = tmp_path / "map.mmd"
    assert main(["--map", str(target)]) == 0
    assert target.read_text(encoding="utf-8").startswith("flowchart LR\n")
    page = tmp_path / "MAP.md"
    head = lint_module.AT_ONCE
    page.write_text(f"# Screens\n\n{head}| old |\n\nmore\n\n```mermaid\nold\n```\n\nmore\n")
    assert main(["--shown-in", str(page)]) == 1
    assert "make map" in capsys.readouterr().err
    assert main(["--map", str(page)]) == 0
    assert main(["--shown-in", str(page)]) == 0
    written = page.read_text(encoding="utf-8")
    assert written.startswith(
        f"# Screens\n\n{head}| `*855*1#`, `*855*1*to*amount#` | `SEND amount to`"
    )
    assert "|\n\nmore\n\n```mermaid\nflowchart LR\n" in written
    assert written.endswith("```\n\nmore\n")
    page.write_text(written.replace("*855*2#", "*855*3#"), encoding="utf-8")
    assert main(["--shown-in", str(page)]) == 1, "a number that opens something else"
    assert "proved in 2 languages" in capsys.readouterr().out
