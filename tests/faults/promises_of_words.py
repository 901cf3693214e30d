"""What was promised of what people are told, and of their PINs."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import inf

from histories import History, sum_in
from judging import (
    CLOCKS_S,
    WRONG_PINS_MOST,
    agreed,
    blocks,
    given_back,
    gone,
    number_of,
    paid,
    promise,
    told,
)

LOCKED_S = 30 * 60
WITHDRAWN_S = 60  # in bad weather, an SMS may not have left for so long
ASKED_MOST = 3  # by SMS of one number, whatever else waits for its answer
AT_ONCE_S = 5  # a right PIN may have been tried beside those that locked
# Without the word after a date, and at the end of what came later: where money may be asked back
# there is no room for it.
REF = re.compile(r"(?:\b[Rr]ef|\d\d/\d\d|^\w[\w ]*: .*) ([0-9A-Z]{8})\b")
GIST = re.compile(
    r"^Sent(?= )|^You received|^Not sent:(?=.* No money)|came back|sent you|wallet is open|"
    r"was a mistake|has given|has not given back"
)
# What says that the payment just agreed to was not made.
NOT_MADE = re.compile(
    r"Nothing was done|Wrong PIN|Too many wrong PINs|^Not sent|can still send|^At most|"
    r"^You have .* to send|cannot hold that much|No more payments|cannot send now|"
    r"has no wallet yet\. Ask|is getting a wallet|you cannot send to more|Nothing was given back"
)
NOT_PAID_BY_SMS = re.compile(r"Nothing was paid|was not sent|Wrong PIN|Too many wrong PINs. Try")


# ---- what people are told


@promise("nobody is told that money did not move which moved")
def _nobody_misled(history: History) -> Iterator[str]:
    moved = {one.ref for one in history.moved}
    for at_s, number, text in told(history):
        refs = REF.findall(text)
        if text.startswith("Not sent") and moved.intersection(refs):
            yield f"{number} at {at_s:.3f}: {text!r}"
    said, denied = agreed(history), _denied(history)
    for key, count in paid(history).items():
        if count + denied[key] > said[key]:
            yield f"{key}: agreed {said[key]} times, denied {denied[key]} times, paid {count}"
    yield from _denied_by_sms(history)


def _denied(history: History) -> Counter:
    """How often the page that answered a right PIN said that the payment was not made."""
    denied: Counter = Counter()
    asked: dict[str, tuple] = {}
    for _, kind, *what in history.events:
        if kind in ("agreed", "gives back"):
            number, to, much, right, over = what
            asked[number] = (number, to, much) if right and over == "ussd" else None
        elif kind == "page":
            number, _, page = what
            agreement = asked.pop(number, None)
            if agreement and page and NOT_MADE.search(page):
                denied[agreement] += 1
    return denied


def _denied_by_sms(history: History) -> Iterator[str]:
    """Each YES is paid, or denied, or neither; never both."""
    yes = Counter(number for _, number, text in history.of("text") if text.startswith("YES"))
    paid = Counter(
        row["src_msisdn"]
        for row in history.rows["transfer"]
        if (row["channel"], row["state"]) == ("sms", "committed")
    )
    from_s, until_s = history.forgotten  # what was said then may be said again, in other words
    denied = {
        (number, text)
        for at_s, number, text in history.of("sms")
        if NOT_PAID_BY_SMS.search(text) and not from_s < at_s < until_s
    }
    for number, count in Counter(number for number, _ in denied).items():
        if count + paid[number] > yes[number]:
            yield f"{number} said YES {yes[number]} times: paid {paid[number]}, denied {count}"


@promise("nobody is told of money before it moved, nor of money that never did")
def _nothing_invented(history: History) -> Iterator[str]:
    moved = {}
    for at_s, kind, *what in history.events:
        if kind == "block":
            moved |= dict(what[1])
        elif kind in ("page", "sms") and (text := what[-1]):
            if (
                not text.startswith(("Sent", "You received", "Received"))
                and "has given" not in text
            ):
                continue
            (ref,) = REF.findall(text)
            if moved.get(ref) != sum_in(text):
                yield f"{what[0]} at {at_s:.3f}: {text!r}"


@promise("every payment in progress ends in a truth")
def _progress_ends(history: History) -> Iterator[str]:
    if not history.ended:
        yield "something never ends"
    states = {row["ref"]: row["state"] for row in history.rows["transfer"]}
    # What was forgotten before it was sent is gone: else it has a row again.
    without = "gone" if any(history.forgotten) else "signed"
    for at_s, number, text in told(history):
        if text.startswith("In progress"):
            for ref in REF.findall(text):
                if states.get(ref, without) == "signed":
                    yield f"{number} at {at_s:.3f} was told of {ref}, which is {states.get(ref)}"
    last = {number: page for _, number, page in history.of("looked")}
    for number, page in last.items():
        if (page or "").startswith("In progress"):
            yield f"{number} is still told {page!r}"


@promise("every receipt is sent")
def _receipts_sent(history: History) -> Iterator[str]:
    told = Counter((number, *_gist(text)) for _, number, text in history.of("sms"))
    due = Counter(
        [
            *_receipts_due(history),
            *_invitations_due(history),
            *_notices_due(history),
            *_questions_due(history),
        ]
    )
    doubts = sum(len(history.of(kind)) for kind in ("crash", "sms lost", "unheard", "went back"))
    lost = sum(row["state"] == "unknown" for row in history.rows["message"])
    missing = [key for key in due if not told[key]]
    # What was twice in doubt is given up: a crash, a lost answer of carrier or database, a database
    # that went back. Each may be of all that was on its way together.
    if len(missing) > (lost if doubts > 1 else 0):
        yield f"{missing} not told; {lost} given up after {doubts} doubts"
    most = 4 if any(history.forgotten) else 2  # each lost once, and all told once more
    for key, count in told.items():
        if key[1] and count > most * max(1, due[key]):
            yield f"{key} was told {count} times"


def _receipts_due(history: History) -> Iterator[tuple]:
    numbers, back, given = _numbers(history), gone(history), given_back(history)
    for block in blocks(history):
        for one in block.moved:
            if one.src in numbers and one.ref not in back:
                yield numbers[one.src], "Sent", one.ref
            if one.dest not in numbers:
                continue
            if one.ref in back:
                yield numbers[one.dest], "came back", one.ref
            elif one.dest not in block.ownerless:
                words = "has given" if one.ref in given else "You received"
                yield numbers[one.dest], words, one.ref
    for row in history.rows["transfer"]:
        if row["state"] in ("rejected", "cancelled", "expired") and row["ref"] not in back:
            yield row["src_msisdn"], "Not sent:", row["ref"]


def _invitations_due(history: History) -> Iterator[tuple]:
    """The first to each number. Who was faster than the SMS needs none: it is withdrawn then."""
    numbers, back, invited = _numbers(history), gone(history), set()
    claims = {account: block.at_s for block in blocks(history) for account in block.claimed}
    cleared_s = max((at_s for at_s, *_ in history.of("fine weather")), default=0.0)
    for block in blocks(history):
        for one in block.moved:
            if one.dest not in numbers or one.dest not in block.ownerless or one.ref in back:
                continue
            if one.dest not in block.claimed | invited:
                invited.add(one.dest)
                if claims.get(one.dest, inf) > max(block.at_s, cleared_s) + WITHDRAWN_S:
                    yield numbers[one.dest], "sent you", one.ref


def _numbers(history: History) -> dict[str, str]:
    return {account: number for number, account in history.accounts.items()}


def _notices_due(history: History) -> Iterator[tuple]:
    for block in blocks(history):
        for account in block.claimed | block.opened:
            yield number_of(account), "wallet is open", ""


def _questions_due(history: History) -> Iterator[tuple]:
    """Who is asked for money hears of it, and who has asked hears of a No."""
    numbers, asked = _numbers(history), Counter()
    for row in history.rows["dispute"]:
        asked[row["dest_account"]] += 1
        if asked[row["dest_account"]] <= ASKED_MOST:
            yield row["dest_msisdn"], "was a mistake", row["ref"]
        if row["state"] == "refused":
            yield numbers[row["src_account"]], "has not given back", row["ref"]


def _gist(text: str) -> tuple[str, str]:
    found, refs = GIST.search(text), REF.findall(text)
    return (found[0], refs[0] if refs else "") if found else ("", "")


@promise("Last payment tells the truth")
def _last_payment_true(history: History) -> Iterator[str]:
    moved = {one.ref for one in history.moved}
    for at_s, number, _, page in history.of("page"):
        for words, there in (("Not sent:", False), ("Sent", True), ("Received:", True)):
            if page and page.startswith(words) and (REF.findall(page)[0] in moved) is not there:
                yield f"{number} at {at_s:.3f}: {page!r}"


# ---- PINs


@promise("no PIN is tried more often than is allowed")
def _pins_guarded(history: History) -> Iterator[str]:
    tried: dict[str, Counter] = defaultdict(Counter)
    for row in history.rows["attempt"]:
        tried[row["account_id"]][row["state"]] += 1
    typed = Counter(
        (number, right)
        for kind in ("agreed", "gives back", "asks back")
        for _, number, *_, right, _ in history.of(kind)
    )
    changes = Counter(number for _, number in history.of("old PIN"))
    for row in history.rows["wallet"]:
        number, of = row["msisdn"], tried[row["account_id"]]
        right, wrong = typed[number, True] + changes[number], typed[number, False]
        if changes[number]:
            # Each may be brought again after the change, whose page may have been lost.
            wrong += typed[number, True] + changes[number] - 1
        if of["wrong"] > min(wrong, WRONG_PINS_MOST * (1 + right)):
            yield f"{of['wrong']} wrong PINs were tried of {number}, typed {dict(typed)}"
        # One whose worker died while it was tried stays counted.
        if row["wrong_pins"] > of["wrong"] + of["reserved"]:
            yield f"{number}: {row['wrong_pins']} wrong PINs are counted of {dict(of)}"
    yield from _paid_while_locked(history)


def _paid_while_locked(history: History) -> Iterator[str]:
    begun = {row["ref"]: row for row in history.rows["transfer"]}
    start_ms = int(history.start.timestamp() * 1000)
    from_s, until_s = history.forgotten
    for at_s, number, text in history.of("sms"):
        if from_s < at_s < until_s + CLOCKS_S:
            continue
        if text.startswith("Too many wrong PINs. You cannot send until"):
            for row in begun.values():
                after_s = (row["created_at"] - start_ms) / 1000 - at_s
                if row["src_msisdn"] == number and AT_ONCE_S < after_s < LOCKED_S / 2:
                    yield f"{row['ref']} was paid {after_s:.0f} s after {number} was locked"


@promise("nothing happens that no weather explains")
def _nothing_strange(history: History) -> Iterator[str]:
    # Of what was forgotten on its way: the money may be promised once more, and the ledger refuses.
    known = "signed for more" if any(history.forgotten) else "\n"
    yield from (one for one in history.strange if not one.startswith(known))
