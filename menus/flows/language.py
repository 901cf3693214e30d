"""Which language to speak: asked of everybody on the first dial, changed from the menu."""

from typing import assert_never

from menus.effects import LanguageSet, SetLanguage, SetLanguageOutcome, Unavailable
from menus.forms import Page, form, goes_home
from menus.kinds import Language


@form("language", dial=5)
class ChooseLanguage:
    """Choose the language of pages and receipts."""

    language: Language

    def effect(self) -> SetLanguage:
        return SetLanguage(self.language.code)

    def reply(self, outcome: SetLanguageOutcome) -> Page:
        match outcome:
            case LanguageSet():
                return goes_home(language=self.language.code)
            case Unavailable():  # at least this conversation goes on in it
                return goes_home(language=self.language.code)
            case _:
                assert_never(outcome)
