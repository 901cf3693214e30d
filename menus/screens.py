"""How pages are put together: menus, questions, offers and endings, translated and sized.

`Screens` is told where the conversation is and makes the turn that shows it; where it goes is the
engine's business. Nothing is ever cut: long lists are divided into pages, and a reason that
leaves no room for its question stands in its place (menus.lint proves that the rest fits).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from menus.encoding import PageSize, fits, paged
from menus.facts import Facts, Service
from menus.forms import HOME, Form, Menu, Question
from menus.kind import Context, Refusal
from menus.state import Screen, State, Turn
from menus.text.load import Texts

BACK: Final = "0"
HOME_KEY: Final = "00"
MORE: Final = "9"
_BEFORE_MORE: Final = 8  # lines are 1-8, then 10, 11, …: 9 turns the page


def chosen(typed: str, shown: Sequence[str]) -> str | None:
    """Say what a typed number means among what was shown."""
    for index, what in enumerate(shown):
        if typed == _number(index):
            return what
    return None


def _number(index: int) -> str:
    """The number before a line: the same on whatever page the line stands."""
    return str(index + 1 if index < _BEFORE_MORE else index + 2)


def language_of(state: State, facts: Facts) -> str | None:
    """The language to speak: what was chosen a moment ago, or is remembered; None if neither."""
    return state.language or facts.language


def holes_of(form: Form, context: Context) -> dict[str, str]:
    """What the questions before `context.field` fill in later texts, asked or skipped."""
    holes: dict[str, str] = {}
    for question in form.questions:
        if question.field == context.field:
            break
        value = context.answers.get(question.field, question.default)
        if value is not None:
            holes |= value.holes(question.field)
    return holes


@dataclass(frozen=True, slots=True)
class Screens:
    """Makes the page for every place a conversation can be at."""

    texts: Texts
    size: PageSize
    # Menus say the same every time: what was laid out once, and which page of it that is. As many
    # as there are languages and pages of menus.
    _menus: dict[tuple[str | None, Menu, int, Service], tuple[str, int]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def menu(self, state: State, menu: Menu, facts: Facts, reason: Refusal | None) -> Turn:
        """Show a page of a menu."""
        language = language_of(state, facts)
        names = menu.names()
        place = (language, menu, state.page, facts.service)
        known = self._menus.get(place) if reason is None else None
        text, page = known or self._list(
            language,
            self._reason(language, reason, facts),
            self.say(language, menu.title, facts) if menu.title else "",
            [self.say(language, f"menu.{name}", facts) for name in names],
            leads_back=menu.name != HOME or state.page > 0,
            page=state.page,
        )
        if known is None and reason is None and page == state.page:
            self._menus[place] = text, page
        state = State(menu=menu.name, shown=names, page=page, language=state.language)
        return Turn(state, Screen(text, end=False))

    def question(
        self,
        state: State,
        form: Form,
        question: Question,
        context: Context,
        reason: Refusal | None,
        *,
        leads_back: bool,
    ) -> Turn:
        """Ask a question; numbered when answering is choosing."""
        facts, language = context.facts, language_of(state, context.facts)
        key, more = question.kind.ask(f"{form.name}.{question.field}", context)
        # Most questions name no answer before them.
        holes = holes_of(form, context) if reason or self.texts.holes(key) else {}
        body = self.say(language, key, facts, {**holes, **more})
        why = self._reason(language, reason, facts, holes)
        options = question.kind.options(context)
        if options:
            lines = [
                self.say(option.language or language, option.key, facts, option.holes)
                for option in options
            ]
            text, page = self._list(
                language, why, body, lines, leads_back=leads_back, page=state.page
            )
        else:
            text, page = self._free(language, why, body, leads_back=leads_back), 0
        state = state._replace(
            asked=question.field,
            shown=tuple(option.id for option in options),
            page=page,
            rest=(),
        )
        secret = question.kind.secret
        return Turn(state, Screen(text, end=False), secret=secret, consumed=state.consumed)

    def offer(
        self, state: State, form: Form, field: str, context: Context, reason: Refusal | None
    ) -> Turn:
        """Offer to go on with a dropped conversation."""
        facts, language = context.facts, language_of(state, context.facts)
        holes = holes_of(form, context)
        lines = [
            self.say(language, f"{form.name}.resume_{field}", facts, holes),
            self.say(language, "engine.start_again", facts),
        ]
        why = self._reason(language, reason, facts)
        text, _ = self._list(language, why, "", lines, leads_back=False, page=0)
        return Turn(state, Screen(text, end=False))

    def end(self, state: State, key: str, facts: Facts, holes: Mapping[str, str]) -> Turn:
        """Say the last word."""
        text = self.say(language_of(state, facts), key, facts, holes)
        return Turn(None, Screen(text, end=True), consumed=state.consumed)

    def say(
        self,
        language: str | None,
        key: str,
        facts: Facts,
        holes: Mapping[str, str] | None = None,
    ) -> str:
        """Say a text with those holes that it has; every text may name the service."""
        wanted = self.texts.holes(key)
        service = facts.service
        if not wanted:
            return self.texts.say(language or service.language, key)
        known = {
            "bank": service.bank,
            "service_code": service.service_code,
            "shortcode": service.shortcode,
            "pin_length": str(service.pin_length),
            "unclaimed_days": str(service.unclaimed_days),
            **(holes or {}),
        }
        filled = {hole: known[hole] for hole in wanted if hole in known}
        return self.texts.say(language or service.language, key, **filled)

    def _reason(
        self,
        language: str | None,
        reason: Refusal | None,
        facts: Facts,
        holes: Mapping[str, str] | None = None,
    ) -> str:
        if reason is None:
            return ""
        return self.say(language, reason.key, facts, {**(holes or {}), **reason.holes})

    def _free(self, language: str | None, reason: str, body: str, *, leads_back: bool) -> str:
        """Lay out a page that asks for free text: one page."""
        foot = self._foot(language, leads_back=leads_back)
        whole = _lines(reason, body, foot)
        return whole if not reason or fits(whole, self.size) else _lines(reason, foot)

    def _list(
        self,
        language: str | None,
        reason: str,
        body: str,
        lines: Sequence[str],
        *,
        leads_back: bool,
        page: int,
    ) -> tuple[str, int]:
        """Lay out one page of numbered lines; `page` past the end is the last one."""
        foot = self._foot(language, leads_back=leads_back)
        pages = _divided(
            tuple(f"{_number(index)} {line}" for index, line in enumerate(lines)),
            self.size,
            body,
            foot,
            _lines(self.texts.say(language, "engine.more"), foot),
        )
        page = min(page, len(pages) - 1)
        whole = _lines(reason, pages[page])
        return (whole if not reason or fits(whole, self.size) else pages[page]), page

    def _foot(self, language: str | None, *, leads_back: bool) -> str:
        return self.texts.say(language, "engine.back") if leads_back else ""


@lru_cache(maxsize=256)  # most lists are the same for everybody
def _divided(
    lines: tuple[str, ...], size: PageSize, head: str, foot: str, foot_more: str
) -> tuple[str, ...]:
    return tuple(paged(lines, size, head=head, foot=foot, foot_more=foot_more))


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)
