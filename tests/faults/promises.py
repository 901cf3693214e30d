"""What was promised, judged by histories alone: this room knows nothing of the code it judges.

A promise is a function from a history to the sentences that say where it was broken. They read what
phones were told, what they agreed to, what the ledger's blocks moved, and the rows at the end.
Figures are worked out here anew, never asked of the product.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

from histories import History

Promise = Callable[[History], Iterator[str]]
PROMISES: dict[str, Promise] = {}

PHNOM_PENH = timezone(timedelta(hours=7))
LOCKED_S = 30 * 60
AT_ONCE_S = 5  # a right PIN may have been tried beside those that locked
WRONG_PINS_MOST = 3
REF = re.compile(r"\b[Rr]ef ([0-9A-Z]{8})\b")
AMOUNT = re.compile(r"([\d,]+) KHR")
# What says that the payment just agreed to was not made.
NOT_MADE = re.compile(
    r"Nothing was done|Wrong PIN|Too many wrong PINs|^Not sent|can still send|^At most|"
    r"^You have .* to send|cannot hold that much|No more payments|cannot send now|has no wallet"
)
NOT_PAID_BY_SMS = re.compile(r"Nothing was paid|was not sent|Wrong PIN|Too many wrong PINs. Try")


def promise(name: str) -> Callable[[Promise], Promise]:
    """Name a promise as the table of `make faults` shows it."""

    def named(broken: Promise) -> Promise:
        PROMISES[name] = broken
        return broken

    return named


def broken(history: History) -> list[str]:
    """Every broken promise, with where it was broken."""
    return [f"{name}: {how}" for name, judge in PROMISES.items() for how in judge(history)]


# ---- money


@promise("each agreement is paid at most once")
def _paid_once(history: History) -> Iterator[str]:
    agreed = _agreed(history)
    for key, count in _paid(history).items():
        if count > agreed[key]:
            yield f"{key} was paid {count} times and agreed to {agreed[key]} times"


@promise("each payment on the ledger is one row of ours, and each paid row one payment")
def _rows_match(history: History) -> Iterator[str]:
    ours = set(history.accounts.values())
    rows = {row["tx_hash"]: row for row in history.rows["transfer"]}
    paid = {one.tx_hash: one for one in history.moved if one.src in ours}
    for tx_hash, one in paid.items():
        row = rows.get(tx_hash)
        if row is None:
            yield f"{one} has no row"
        elif row["state"] != "committed":
            yield f"{one} is {row['state']} in our rows"
        elif (row["src_account"], row["dest_account"], row["amount"], row["ref"]) != (
            one.src,
            one.dest,
            one.minor,
            one.ref,
        ):
            yield f"{one} is another in our rows: {row}"
    for row in rows.values():
        if row["state"] == "committed" and row["tx_hash"] not in paid:
            yield f"{row['ref']} is committed, and not on the ledger"
    refs = Counter(one.ref for one in paid.values())
    yield from (f"{ref} was paid {count} times" for ref, count in refs.items() if count > 1)


@promise("money is neither made nor lost")
def _conserved(history: History) -> Iterator[str]:
    held = defaultdict(int, history.opening)
    for one in history.moved:
        held[one.src, one.asset] -= one.minor
        held[one.dest, one.asset] += one.minor
        if held[one.src, one.asset] < 0:
            yield f"{one.src} was overdrawn"
    if +Counter(held) != +Counter(history.closing):
        yield f"blocks say {dict(held)}, the ledger holds {history.closing}"
    for row in history.rows["holding"]:
        on_ledger = held[row["account_id"], f"{row['currency'].lower()}#nbc"]
        if row["settled"] != on_ledger:
            yield f"{row['account_id']} has {on_ledger}, our rows say {row['settled']}"


# ---- limits


@promise("no limit on what we sign is exceeded")
def _limits_hold(history: History) -> Iterator[str]:
    caps = history.caps
    for (account, period), rows in _by_period(history).items():
        amount, kind = sum(row["amount"] for row in rows), "day" if len(period) > 7 else "month"
        if amount > caps[kind]:
            yield f"{account} sent {amount} in {period}"
        if kind == "day" and len(rows) > caps["count_per_day"]:
            yield f"{account} sent {len(rows)} times in {period}"
    for row in history.rows["transfer"]:
        most = caps["sms_most"] if row["channel"] == "sms" else caps["most"]
        if not caps["least"] <= row["amount"] <= most:
            yield f"{row['ref']} is of {row['amount']}"
        made = datetime.fromtimestamp(row["created_at"] / 1000, PHNOM_PENH)
        near = {str((made + timedelta(seconds=s)).date()) for s in (-8, 0, 8)}
        if row["business_day"] not in near and not history.of("night"):
            yield f"{row['ref']} of {made} was counted on {row['business_day']}"
    yield from _room(history)


def _room(history: History) -> Iterator[str]:
    """Nobody is sent more than they may hold; what comes from elsewhere cannot be refused."""
    held, given = defaultdict(int), defaultdict(int)
    for (account, _), minor in history.opening.items():
        held[account] += minor
    ours = set(history.accounts.values())
    for one in history.moved:
        held[one.src] -= one.minor
        held[one.dest] += one.minor
        if one.src not in ours:
            given[one.dest] += one.minor
        elif one.dest in ours and held[one.dest] - given[one.dest] > history.caps["held"]:
            yield f"{one.dest} holds {held[one.dest]} since {one.ref}"


@promise("every counter equals its movements")
def _counters_equal(history: History) -> Iterator[str]:
    counted = {
        (row["account_id"], row["period"]): (row["amount"], row["count"])
        for row in history.rows["counter"]
        if row["bucket"] == "KHR"
    }
    moved = {
        key: (sum(row["amount"] for row in rows), len(rows))
        for key, rows in _by_period(history).items()
    }
    for key in counted.keys() | moved.keys():
        if counted.get(key, (0, 0)) != moved.get(key, (0, 0)):
            yield f"{key} is counted as {counted.get(key)}, and is {moved.get(key)}"
    going, coming = defaultdict(int), defaultdict(int)
    for row in history.rows["transfer"]:
        if row["state"] == "signed":
            going[row["src_account"]] += row["amount"]
            coming[row["dest_account"]] += row["amount"]
    for row in history.rows["holding"]:
        under_way = going[row["account_id"]], coming[row["account_id"]]
        if row["currency"] == "KHR" and (row["outgoing"], row["incoming"]) != under_way:
            yield f"{row['account_id']} has {under_way} under way, its row says {row}"


@promise("every cap can be used to its end")
def _caps_usable(history: History) -> Iterator[str]:
    for _, number, amount, page in history.of("tried the rest"):
        if not (page or "").startswith(("Sent ", "In progress")):
            yield f"{number} may send {amount}, and was told {page!r}"


def rest(history: History, number: str, now: datetime) -> int:
    """What this number may send now, to somebody at another bank; 0 when nothing."""
    account, caps, day = (
        history.accounts[number],
        history.caps,
        str(now.astimezone(PHNOM_PENH).date()),
    )
    periods = _by_period(history)
    today, month = periods.get((account, day), []), periods.get((account, day[:7]), [])
    holds = next(
        row["settled"] - row["outgoing"]
        for row in history.rows["holding"]
        if (row["account_id"], row["currency"]) == (account, "KHR")
    )
    left = min(
        caps["most"],
        caps["day"] - sum(row["amount"] for row in today),
        caps["month"] - sum(row["amount"] for row in month),
        holds,
    )
    return left if left >= caps["least"] and len(today) < caps["count_per_day"] else 0


# ---- what people are told


@promise("nobody is told that money did not move which moved")
def _nobody_misled(history: History) -> Iterator[str]:
    moved = {one.ref for one in history.moved}
    for at_s, number, text in _told(history):
        refs = REF.findall(text)
        if text.startswith("Not sent") and moved.intersection(refs):
            yield f"{number} at {at_s:.3f}: {text!r}"
    agreed = _agreed(history)
    denied = _denied(history)
    for key, count in _paid(history).items():
        if count + denied[key] > agreed[key]:
            yield f"{key}: agreed {agreed[key]} times, denied {denied[key]} times, paid {count}"
    yield from _denied_by_sms(history)


def _denied(history: History) -> Counter:
    """How often the page that answered a right PIN said that the payment was not made."""
    denied: Counter = Counter()
    asked: dict[str, tuple] = {}
    for _, kind, *what in history.events:
        if kind == "agreed":
            number, to, minor, right, over = what
            asked[number] = (number, to, minor) if right and over == "ussd" else None
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
    denied = {
        (number, text) for _, number, text in history.of("sms") if NOT_PAID_BY_SMS.search(text)
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
            if not text.startswith(("Sent", "You received", "Received")):
                continue
            (ref,), minor = REF.findall(text), int(AMOUNT.search(text)[1].replace(",", ""))
            if moved.get(ref) != minor:
                yield f"{what[0]} at {at_s:.3f}: {text!r}"


@promise("every payment in progress ends in a truth")
def _progress_ends(history: History) -> Iterator[str]:
    if not history.ended:
        yield "something never ends"
    states = {row["ref"]: row["state"] for row in history.rows["transfer"]}
    for at_s, number, text in _told(history):
        if text.startswith("In progress"):
            for ref in REF.findall(text):
                if states.get(ref, "signed") == "signed":
                    yield f"{number} at {at_s:.3f} was told of {ref}, which is {states.get(ref)}"
    last = {number: page for _, number, page in history.of("looked")}
    for number, page in last.items():
        if (page or "").startswith("In progress"):
            yield f"{number} is still told {page!r}"


@promise("every receipt is sent")
def _receipts_sent(history: History) -> Iterator[str]:
    told = Counter((number, *_gist(text)) for _, number, text in history.of("sms"))
    due = Counter(_receipts_due(history))
    doubts = sum(len(history.of(kind)) for kind in ("crash", "sms lost", "unheard"))
    lost = sum(row["state"] == "unknown" for row in history.rows["message"])
    missing = [key for key in due if not told[key]]
    # What was twice in doubt is given up: a crash, a lost answer of carrier or database.
    if len(missing) > (min(lost, doubts // 2)):
        yield f"{missing} not told; {lost} given up after {doubts} doubts"
    for key, count in told.items():
        if key[1] and count > 2 * max(1, due[key]):
            yield f"{key} was told {count} times"


def _receipts_due(history: History) -> Iterator[tuple]:
    numbers = {account: number for number, account in history.accounts.items()}
    for one in history.moved:
        if one.src in numbers:
            yield numbers[one.src], "Sent", one.ref
        if one.dest in numbers:
            yield numbers[one.dest], "You received", one.ref
    for row in history.rows["transfer"]:
        if row["state"] in ("rejected", "cancelled", "expired"):
            yield row["src_msisdn"], "Not sent:", row["ref"]


def _gist(text: str) -> tuple[str, str]:
    for words in ("Sent", "You received", "Not sent:"):
        if text.startswith(words) and (refs := REF.findall(text)):
            return words, refs[0]
    return "", ""


@promise("Last payment tells the truth")
def _last_payment_true(history: History) -> Iterator[str]:
    moved = {one.ref for one in history.moved}
    for at_s, number, _, page in history.of("page"):
        for words, there in (("Not sent:", False), ("Sent:", True), ("Received:", True)):
            if page and page.startswith(words) and (REF.findall(page)[0] in moved) is not there:
                yield f"{number} at {at_s:.3f}: {page!r}"


# ---- PINs


@promise("no PIN is tried more often than is allowed")
def _pins_guarded(history: History) -> Iterator[str]:
    tried: dict[str, Counter] = defaultdict(Counter)
    for row in history.rows["attempt"]:
        tried[row["account_id"]][row["state"]] += 1
    typed = Counter((number, right) for _, number, *_, right, _ in history.of("agreed"))
    for row in history.rows["wallet"]:
        number, of = row["msisdn"], tried[row["account_id"]]
        if of["wrong"] > min(typed[number, False], WRONG_PINS_MOST * (1 + typed[number, True])):
            yield f"{of['wrong']} wrong PINs were tried of {number}, typed {dict(typed)}"
        # One whose worker died while it was tried stays counted.
        if row["wrong_pins"] > of["wrong"] + of["reserved"]:
            yield f"{number}: {row['wrong_pins']} wrong PINs are counted of {dict(of)}"
    yield from _paid_while_locked(history)


def _paid_while_locked(history: History) -> Iterator[str]:
    begun = {row["ref"]: row for row in history.rows["transfer"]}
    start_ms = int(history.start.timestamp() * 1000)
    for at_s, number, text in history.of("sms"):
        if text.startswith("Too many wrong PINs. You cannot send until"):
            for row in begun.values():
                after_s = (row["created_at"] - start_ms) / 1000 - at_s
                if row["src_msisdn"] == number and AT_ONCE_S < after_s < LOCKED_S / 2:
                    yield f"{row['ref']} was paid {after_s:.0f} s after {number} was locked"


@promise("nothing happens that no weather explains")
def _nothing_strange(history: History) -> Iterator[str]:
    yield from history.strange


# ---- readings


def _agreed(history: History) -> Counter:
    """How often each payment was agreed to with the right PIN."""
    return Counter(
        (number, to, minor) for _, number, to, minor, right, _ in history.of("agreed") if right
    )


def _paid(history: History) -> Counter:
    numbers = {account: number for number, account in history.accounts.items()}
    return Counter(
        (numbers[one.src], f"+{one.dest.partition('@')[0]}", one.minor)
        for one in history.moved
        if one.src in numbers
    )


def _told(history: History) -> Iterator[tuple[float, str, str]]:
    """Every text that reached a phone."""
    for at_s, kind, *what in history.events:
        if kind in ("page", "sms") and what[-1]:
            yield at_s, what[0], what[-1]


def _by_period(history: History) -> dict[tuple[str, str], list[dict]]:
    """Payments that count, by account and business day, and by account and month."""
    periods = defaultdict(list)
    for row in history.rows["transfer"]:
        if row["state"] in ("signed", "committed"):
            for period in (row["business_day"], row["business_day"][:7]):
                periods[row["src_account"], period].append(row)
    return dict(periods)
