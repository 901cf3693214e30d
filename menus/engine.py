"""The conversation: one pure machine for all forms, menus and languages.

Rule 1.  A turn is `begin` or `hear`, then `heard` for each effect it asks for, then one page.
         Nothing here waits, looks at a clock, or fails because of what a person typed.
Rule 2.  The state is all there is. It is dumped and loaded between any two turns, and holds
         answers by field name; a PIN, or anything else that was typed, is never in it.
Rule 3.  A number means what was shown beside it, even if the menu is another one by now.
Rule 4.  What answers a question is decided by the question that was on the screen. Answers stand
         only for questions before it: going back to one forgets it and all that came after.
Rule 5.  `0` goes back, `00` home, `9` turns the page of a list; only as the whole input.
Rule 6.  A question is asked until it is answered or the person leaves; each time with the reason.
         If no answer could help, the reason is the end.
Rule 7.  The PIN comes last, on the page that shows what it is for. When that page is shown the
         intent is minted, bound to a digest of the answers: changed answers are another intent,
         the same answers the same one, so that paying twice takes saying so twice.
Rule 8.  A PIN lives from `hear` to the effect it goes into. By the time of the reply it is gone.
Rule 9.  A deep dial answers questions as if typed one by one, up to the first it may not answer;
         what is left over is dropped unread.
Rule 10. A form whose shape changed under a conversation is begun again, politely.

Theory of operation: a state is at a menu (`form` is None), at an offer to resume (`offer`), or at
a question (`form`, `asked`). Input at a question is read by its kind into a value (saved), a
`Lookup` (its effect goes out, its outcome comes to `heard` and becomes the value) or a `Refusal`
(the page again, with the reason). After the last question the form's effect goes out, and its
`reply` to the outcome says where to go: the end, home, or back to a field.
"""

from collections.abc import Sequence
from typing import Literal

from menus.catalogue import CATALOGUE
from menus.effects import Outcome
from menus.encoding import PageSize
from menus.facts import Facts, Recent, Service, WalletFacts
from menus.forms import HOME, Catalogue, Form, Opening, Page, Question, about
from menus.kind import Context, Kind, Lookup, Refusal
from menus.kinds import FORGOTTEN, Pin
from menus.reading import LONGEST, plain
from menus.screens import BACK, HOME_KEY, MORE, Screens, chosen, language_of
from menus.state import GIVEN, Minted, Screen, State, Turn, built, loaded, minted, opened, saved
from menus.text.load import Texts

__all__ = [
    "Apology",
    "Engine",
    "Facts",
    "Recent",
    "Screen",
    "Service",
    "State",
    "Turn",
    "WalletFacts",
]

Apology = Literal["lost", "lost_or_pin", "mistyped", "busy", "unavailable", "crowded"]
_CHOOSE = Refusal("engine.choose")


class Engine:
    """Immutable after construction, so any number of threads may share it."""

    def __init__(
        self,
        texts: Texts,
        catalogue: Catalogue = CATALOGUE,
        size: PageSize = PageSize(),  # noqa: B008 - frozen
    ) -> None:
        self._texts = texts
        self._catalogue = catalogue
        self._screens = Screens(texts, size)
        self._forms = {form.name: form for form in map(about, catalogue.forms)}
        self._dialled = {str(form.dial): form for form in self._forms.values() if form.dial}

    # --- what the gateway calls ---------------------------------------------------------------

    def begin(
        self, facts: Facts, *, dialled: Sequence[str] = (), previous: State | None = None
    ) -> Turn:
        """Take the first turn of a session: a deep dial, an offer to resume, or the menu."""
        form = self._dialled.get(dialled[0]) if dialled else None
        if form and self._catalogue.menu_for(facts).offers(form.cls):
            state = opened(form)._replace(rest=tuple(dialled[1:]), consumed=1)
            return self._go_on(state, form, facts)
        if previous and not dialled:
            return self._offer(State(offer=(previous.offer or previous.dump())), facts)
        return self._arrive(facts)

    def open(self, facts: Facts, opening: Opening, *, after: State = State()) -> Turn:  # noqa: B008 - a tuple
        """Begin at a form prefilled from something stored, whose id is the intent."""
        form = about(opening.cls)
        state = opened(form)._replace(
            answers={name: value.dump() for name, value in opening.given.items()},
            given=tuple(opening.given),
            intent=Minted(opening.intent, GIVEN) if opening.intent else None,
            language=after.language,
            consumed=after.consumed,
        )
        return self._go_on(state, form, facts)

    def hear(self, state: State | None, text: str, facts: Facts) -> Turn:
        """Take what a person typed."""
        state = state or State()
        if state.waiting or state.rest or state.consumed:  # not after a load
            state = state._replace(waiting="", rest=(), consumed=0)
        typed = plain(text) or ""
        if typed == HOME_KEY:
            return self._home(state, facts)
        if state.offer:
            return self._hear_offer(state, typed, facts)
        if state.form is None:
            return self._hear_menu(state, typed, facts)
        at = self._at(state)
        if at is None:
            return self._home(state, facts, Refusal("engine.changed"))
        return self._hear_answer(*at, text, typed, facts)

    def heard(self, state: State | None, outcome: Outcome, facts: Facts) -> Turn:
        """Take the outcome of the effect that the last `Turn` asked for."""
        at = self._at(state) if state and state.waiting else None
        if at is None:
            raise TypeError("no effect is under way in this conversation")
        state, form = at
        state, waited = state._replace(waiting=""), state.waiting
        if waited == "lookup":
            question = form.question(state.asked or "")
            context = self._context(state, form, question, facts)
            found = question.kind.found(outcome, context)
            return self._take(state, form, question, found, facts)
        if not isinstance(outcome, form.outcomes):
            raise TypeError(f"{form.name} does not answer {type(outcome).__name__}")
        return self._follow(state, form, built(state, form, FORGOTTEN).reply(outcome), facts)

    def dialable(self, parts: Sequence[str], facts: Facts) -> bool:
        """Could this have been dialled at once: a direct-dial number and no more than it asks?

        What is longer is the history of a session that was lost on its way, PIN and all. A question
        that `begin` would skip, since what stands there is no answer to it, takes no part.
        """
        form = self._dialled.get(parts[0]) if parts else None
        if form is None or any(len(part) > LONGEST for part in parts):
            return False
        nothing = Context(facts, "", {}, self._texts.languages)
        rest = list(parts[1:])
        for question in form.questions:
            if rest and question.kind.dialable and question.wanted(nothing):
                skips = question.default is not None
                if not (skips and isinstance(_read(question, rest[0], nothing, ()), Refusal)):
                    del rest[0]
        return not rest

    def may_have_paid(self, parts: Sequence[str], facts: Facts) -> bool:
        """Could this be the history of a session that has paid? Nobody pays without a PIN.

        It may as well be what somebody dialled who put the PIN into the string.
        """
        nothing = Context(facts, "", {}, self._texts.languages)
        return any(isinstance(Pin.parse(part, nothing), Pin) for part in parts)

    def apology(self, kind: Apology, facts: Facts | None) -> Screen:
        """Say that a turn could not be taken; without facts, in the default language."""
        return Screen(
            self._texts.say(facts.language if facts else None, f"engine.{kind}"), end=True
        )

    # --- menus --------------------------------------------------------------------------------

    def _arrive(self, facts: Facts) -> Turn:
        """Where a dial leads that asks for nothing: what somebody waits to hear, else home."""
        waiting = self._catalogue.waiting(facts)
        if waiting is None or self._first_dial(State(), facts) or not self._offers(waiting, facts):
            return self._home(State(), facts)
        return self.open(facts, waiting)

    def _offers(self, opening: Opening, facts: Facts) -> bool:
        return self._catalogue.menu_for(facts).offers(opening.cls)

    def _home(self, state: State, facts: Facts, reason: Refusal | None = None) -> Turn:
        """Leave everything; people who never chose a language choose it first."""
        state = State(language=state.language)
        if self._first_dial(state, facts):
            form = about(self._catalogue.first)
            return self._ask(opened(form), form, form.questions[0], facts, reason)
        return self._menu(state, facts, reason)

    def _first_dial(self, state: State, facts: Facts) -> bool:
        return language_of(state, facts) is None and len(self._texts.languages) > 1

    def _menu(self, state: State, facts: Facts, reason: Refusal | None = None) -> Turn:
        top = self._catalogue.menu_for(facts)
        menu = next((menu for menu in top.menus() if menu.name == state.menu), top)
        return self._screens.menu(state, menu, facts, reason)

    def _hear_menu(self, state: State, typed: str, facts: Facts) -> Turn:
        name = chosen(typed, state.shown)
        if name in self._forms:
            form = self._forms[name]
            return self._go_on(opened(form)._replace(language=state.language), form, facts)
        if name:
            return self._menu(State(menu=name, language=state.language), facts)
        if typed == BACK and state.page:
            return self._menu(state._replace(page=state.page - 1), facts)
        if typed == BACK and state.menu != HOME:
            return self._home(state, facts)
        if typed == MORE:
            turned = self._menu(state._replace(page=state.page + 1), facts)
            if turned.state and turned.state.page > state.page:
                return turned
        return self._menu(state, facts, _CHOOSE)

    # --- coming back to a dropped conversation ------------------------------------------------

    def _offer(self, state: State, facts: Facts, reason: Refusal | None = None) -> Turn:
        """Offer it, if there is something in it that one would not like to type again."""
        dropped = State.load(state.offer)
        at = self._at(dropped) if dropped else None
        if at is None:
            return self._arrive(facts)
        dropped, form = at
        if not self._catalogue.menu_for(facts).offers(form.cls):
            return self._arrive(facts)
        worth = [name for name in form.resume if name in dropped.answers]
        if not worth or not form.pin:
            return self._arrive(facts)
        context = self._context(dropped, form, form.pin, facts)
        return self._screens.offer(state, form, worth[-1], context, reason)

    def _hear_offer(self, state: State, typed: str, facts: Facts) -> Turn:
        dropped = State.load(state.offer)
        at = self._at(dropped) if dropped else None
        if at is None:
            return self._home(state, facts, Refusal("engine.changed"))
        if typed == "1":
            # The same intent, too: if the payment was already made, it is not made again.
            dropped, form = at
            question = form.question(dropped.asked or form.questions[0].field)
            return self._ask(dropped, form, question, facts)
        if typed == "2":
            return self._arrive(facts)
        return self._offer(state, facts, _CHOOSE)

    # --- questions ----------------------------------------------------------------------------

    def _hear_answer(self, state: State, form: Form, text: str, typed: str, facts: Facts) -> Turn:
        question = form.question(state.asked or form.questions[0].field)
        if typed == BACK:
            return self._back(state, form, question, facts)
        context = self._context(state, form, question, facts)
        if typed == MORE and question.kind.options(context):
            turned = self._ask(state._replace(page=state.page + 1), form, question, facts)
            if turned.state and turned.state.page > state.page:
                return turned
        parsed = _read(question, text, context, state.shown)
        return self._take(state, form, question, parsed, facts)

    def _back(self, state: State, form: Form, question: Question, facts: Facts) -> Turn:
        """Go to the page before, to the last question that was asked, or home."""
        if state.page:
            return self._ask(state._replace(page=state.page - 1), form, question, facts)
        for earlier in reversed(form.before(question.field)):
            if earlier.field in state.answers and earlier.field not in state.given:
                return self._ask(state, form, earlier, facts)
        return self._home(state, facts)

    def _take(
        self,
        state: State,
        form: Form,
        question: Question,
        parsed: Kind | Lookup | Refusal,
        facts: Facts,
    ) -> Turn:
        """Look up, ask again, or save and go on."""
        if isinstance(parsed, Lookup):
            return Turn(state._replace(waiting="lookup"), effect=parsed.effect)
        if isinstance(parsed, Kind):
            parsed = question.check(parsed, facts) or parsed
        if isinstance(parsed, Refusal):
            if parsed.ends:
                return self._screens.end(state, parsed.key, facts, parsed.holes)
            again = form.question(parsed.anew) if parsed.anew else question
            return self._ask(state, form, again, facts, parsed)
        if isinstance(parsed, Pin):
            return self._run(state, form, parsed, facts)
        return self._go_on(saved(state, question, parsed), form, facts)

    def _go_on(self, state: State, form: Form, facts: Facts) -> Turn:
        """Ask what is still wanted, or answer it with what was dialled; then do it."""
        for question in form.questions if state.asked is None else form.after(state.asked):
            if question.field in state.answers:
                continue
            dialled = state.rest and question.kind.dialable
            if question.only_if is None and not dialled:
                return self._ask(
                    state, form, question, facts, _left_over(form, question, state.rest, facts)
                )
            context = self._context(state, form, question, facts)
            if not question.wanted(context):
                continue
            if not dialled:
                return self._ask(
                    state, form, question, facts, _left_over(form, question, state.rest, facts)
                )
            parsed = _read(question, state.rest[0], context, ())
            if isinstance(parsed, Refusal) and question.default is not None:
                # A string that people know by heart leaves out what they are asked only sometimes;
                # the amount may name the currency by itself, as it does by SMS.
                continue
            state = state._replace(asked=question.field)
            if not isinstance(parsed, Refusal):
                state = state._replace(rest=state.rest[1:], consumed=state.consumed + 1)
            return self._take(state, form, question, parsed, facts)
        return self._run(state, form, FORGOTTEN, facts)

    def _ask(
        self,
        state: State,
        form: Form,
        question: Question,
        facts: Facts,
        reason: Refusal | None = None,
    ) -> Turn:
        """Show a question. What was answered after it is forgotten."""
        before = [earlier.field for earlier in form.before(question.field)]
        kept = {n: a for n, a in state.answers.items() if n in before or n in state.given}
        page = state.page if state.asked == question.field else 0
        state = state._replace(answers=kept, page=page)
        if form.pin is question:
            state = minted(state, form, facts)
        context = self._context(state, form, question, facts)
        first = self._first_dial(state, facts) and form.cls is self._catalogue.first
        return self._screens.question(state, form, question, context, reason, leads_back=not first)

    def _run(self, state: State, form: Form, pin: Pin, facts: Facts) -> Turn:
        """Everything is answered: ask for what the form is for."""
        state = minted(state, form, facts)
        effect = built(state, form, pin).effect()
        return Turn(state._replace(waiting="effect"), effect=effect)

    def _follow(self, state: State, form: Form, page: Page, facts: Facts) -> Turn:
        """Go where a reply says."""
        if page.opens and self._offers(page.opens, facts):
            return self.open(facts, page.opens, after=state)
        if page.then is None:
            return self._screens.end(state, page.key, facts, page.holes)
        reason = Refusal(page.key, page.holes) if page.key else None
        if page.then == HOME:
            spoken = page.language or state.language
            return self._home(state._replace(language=spoken), facts, reason)
        return self._ask(state, form, form.question(page.then), facts, reason)

    def _context(self, state: State, form: Form, question: Question, facts: Facts) -> Context:
        before = loaded(state, form.before(question.field))
        return Context(facts, question.field, before, self._texts.languages)

    def _at(self, state: State) -> tuple[State, Form] | None:
        """The form a conversation is at, its answers loaded; None if a release has changed it."""
        form = self._forms.get(state.form or "")
        if form is None or form.shape != state.shape:
            return None
        if state.answers.keys() <= state.values.keys():
            return state, form
        try:
            return state._replace(values=loaded(state, form.questions)), form
        except (TypeError, ValueError):
            return None


# --- answers ----------------------------------------------------------------------------------


def _read(
    question: Question, text: str, context: Context, shown: Sequence[str]
) -> Kind | Lookup | Refusal:
    """Read an answer: a number that was shown beside a choice, or what the kind understands."""
    options = [option.id for option in question.kind.options(context)]
    choice = chosen(plain(text) or "", shown or options) if options else None
    return question.kind.load(choice) if choice else question.kind.parse(text, context)


def _left_over(form: Form, asked: Question, rest: Sequence[str], facts: Facts) -> Refusal | None:
    """Tell people who dialled their PIN, once, that a phone remembers what was dialled.

    What all later questions were answered with is no PIN, however long: an account, an amount.
    """
    later = [question for question in form.after(asked.field) if question.kind.dialable]
    if len(rest) >= sum(question.default is None for question in later):
        rest = rest[len(later) :]
    pins = (part for part in rest if len(part) == facts.service.pin_length)
    return Refusal("engine.never_dial") if any(pins) else None
