"""Measures of the code itself: is all of money code tried, and would its tests notice a mistake?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from covering import Covered, covered
from figures import Effort, Row
from money_code import MODULES
from mutants import mutants
from mutating import Fate, fates, trial, unchanged

ASKED = 95  # of 100 mutants


def branches(effort: Effort) -> Iterator[Row]:
    """The branches that the tests of money code take."""
    effort.say("branches: the tests of money code run")
    all_, taken, places = covered(effort.workers).missing()
    for place in places:
        effort.show(f"no test reaches {place}")
    reached = f"{100 * taken / all_:.1f} % ({taken} of {all_})"
    yield Row("branches of money, limit and PIN code", "100 %", reached, not places)


def killed(effort: Effort) -> Iterator[Row]:
    """The mutants that are noticed, when there is time without end."""
    if effort.seconds == float("inf"):
        yield from killed_in(effort, MODULES)


def killed_in(effort: Effort, modules: Sequence[str]) -> Iterator[Row]:
    """The mutants of these modules that are noticed; Ctrl-C ends it with what is known."""
    effort.say("mutants: the tests of money code run")
    known, count = covered(effort.workers), Counter[Fate]()
    try:
        for module in modules:
            count += _killed(effort, module, known)
    except KeyboardInterrupt:
        yield _row(count)
        raise
    yield _row(count)


def _killed(effort: Effort, module: str, known: Covered) -> Counter[Fate]:
    count = Counter[Fate]()
    tried = chain([unchanged(module)], mutants(module))
    for one, fate in fates((trial(mutant, known) for mutant in tried), effort.workers):
        mutant = one.mutant
        if not mutant.line:
            if fate is not Fate.SURVIVED:
                raise RuntimeError(f"the tests of {module} fail where nothing was changed")
            continue
        count[fate] += 1
        if fate is Fate.SURVIVED:
            effort.show(f"survives: {module}:{mutant.line}: {mutant.change}")
        effort.say(f"mutants: {module}:{mutant.line}, {_told(count)} died")
    effort.show(f"{module}: {_told(count)} mutants die")
    return count


def _row(count: Counter[Fate]) -> Row:
    share = 100 * count[Fate.NOTICED] / max(1, count[Fate.NOTICED] + count[Fate.SURVIVED])
    reached = f"{share:.1f} % ({_told(count)})"
    return Row("mutants of money, limit and PIN code die", f"{ASKED} %", reached, share >= ASKED)


def _told(count: Counter[Fate]) -> str:
    return f"{count[Fate.NOTICED]:,} of {count[Fate.NOTICED] + count[Fate.SURVIVED]:,}"
