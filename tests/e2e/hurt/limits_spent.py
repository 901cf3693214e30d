"""One daily limit spent by many sessions at once: never exceeded, and usable to the last riel.

Everybody here may send `TIGHT_DAY` in a day, and all sessions together ask for much more than that,
in equal parts of which a whole number fits.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evidence import no_drift_in
from people import TIGHT_DAY, Person
from process import Process
from spend import Plan
from stack import Stack
from stands import Ground

SESSIONS = 64
AMOUNT = 250
FIT = TIGHT_DAY // AMOUNT
SPEND = Path(__file__).with_name("spend.py")
ANSWERED = {"Committed", "InProgress", "OverLimit"}
ROUND_S = 30.0  # at most
LIMITED = [
    Person(
        f"+855123470{number:02}", f"{583_911 + 11 * number}", 20_000, "tight", f"Limited {number}"
    )
    for number in range(100)
]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent in all rounds, and what was wrong."""

    rounds: int
    payments: int
    wrong: tuple[str, ...]


def spend_limits(
    ground: Ground, kind: str, payers: Sequence[Person], *, say: Say = lambda _: None
) -> Spent:
    """A round for each of these people, in one process or, of kind `pair`, in two."""
    with ground.stack(kind) as stack:
        stack.start_ledger()
        stack.carrier.start()
        _spend(stack, payers, 2 if kind == "pair" else 1, say)
        answers = _answers(stack)
        stack.heal()
        paid = {payer: _paid(stack, payer) for payer in payers}
        no_drift_in(stack)
    wrong = [f"{count} times {heard}" for heard, count in answers.items() if heard not in ANSWERED]
    wrong += [
        f"{payer.msisdn} sent {rows} times, of {FIT}; counted {counted}, held back {outgoing}"
        for payer, (rows, counted, outgoing) in paid.items()
        if (rows, counted, outgoing) != (FIT, TIGHT_DAY, 0)
    ]
    return Spent(len(payers), sum(rows for rows, *_ in paid.values()), tuple(wrong))


def _spend(stack: Stack, payers: Sequence[Person], processes: int, say: Say) -> None:
    payee = stack.person("partial")
    rounds = [(one.msisdn, one.pin, payee.msisdn, payee.account_id) for one in payers]
    names = [f"spender{number}" for number in range(processes)]
    plan = Plan(rounds, AMOUNT, SESSIONS // processes, names, str(stack.folder))
    file = stack.folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)), "utf-8")
    spenders = [
        Process(name, [str(SPEND), str(file), name], stack.env, stack.folder) for name in names
    ]
    try:
        for spender in spenders:
            spender.start()
        for spender in spenders:
            say(f"{SESSIONS} sessions spend one limit, {len(rounds)} rounds")
            assert spender.wait(ROUND_S * len(rounds)) == 0, spender.tail()
    finally:
        for spender in spenders:
            spender.stop()
        file.unlink()


def _answers(stack: Stack) -> Counter[str]:
    answers = Counter[str]()
    for log in stack.folder.glob("spender*.log"):
        for line in log.read_text("utf-8").splitlines():
            if line.startswith('{"round"'):
                told = json.loads(line)
                del told["round"]
                answers.update(told)
            elif "VaultBusy" not in line:  # so many PINs at once may wait in vain, and come again
                answers[line[:240]] += 1
    return answers


def _paid(stack: Stack, payer: Person) -> tuple[int, int, int]:
    """Committed payments; the day's counter; what is still held back."""
    account = {"account": payer.account_id}
    (rows,) = stack.rows(
        "SELECT COUNT(*) AS n FROM transfer WHERE src_account = :account AND state = 'committed'",
        **account,
    )
    counters = stack.rows(
        "SELECT amount FROM counter WHERE account_id = :account AND LENGTH(period) = 10", **account
    )
    (holding,) = stack.rows(
        "SELECT outgoing FROM holding WHERE account_id = :account AND currency = 'KHR'", **account
    )
    return rows["n"], sum(row["amount"] for row in counters), holding["outgoing"]
