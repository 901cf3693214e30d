"""What was promised of money and its limits. Figures are worked out anew, from blocks and rows."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from histories import DECIMALS, History, Sum
from judging import agreed, by_period, free, overtaken, paid, promise

PHNOM_PENH = timezone(timedelta(hours=7))


# ---- money


@promise("each agreement is paid at most once")
def _paid_once(history: History) -> Iterator[str]:
    said, asked = agreed(history, "agreed"), _asked_back(history)
    for key, count in agreed(history, "gives back").items():
        said[key] += min(count, asked[key])  # agreeing twice gives back once
    for key, count in paid(history).items():
        if count > said[key]:
            yield f"{key} was paid {count} times and agreed to {said[key]} times"


def _asked_back(history: History) -> Counter:
    """What was asked back, as who received it would pay it."""
    numbers = {account: number for number, account in history.accounts.items()}
    return Counter(
        (row["dest_msisdn"], numbers[row["src_account"]], _sum(row))
        for row in history.rows["dispute"]
    )


@promise("each payment on the ledger is one row of ours, and each paid row one payment")
def _rows_match(history: History) -> Iterator[str]:
    ours = set(history.accounts.values())
    rows = {row["tx_hash"]: row for row in history.rows["transfer"]}
    moved = {one.tx_hash: one for one in history.moved if one.src in ours}
    for tx_hash, one in moved.items():
        row = rows.get(tx_hash)
        if row is None:
            yield f"{one} has no row"
        elif row["state"] != "committed":
            yield f"{one} is {row['state']} in our rows"
        elif (row["src_account"], row["dest_account"], _sum(row), row["ref"]) != (
            one.src,
            one.dest,
            one.sum,
            one.ref,
        ):
            yield f"{one} is another in our rows: {row}"
    for row in rows.values():
        if row["state"] == "committed" and row["tx_hash"] not in moved:
            yield f"{row['ref']} is committed, and not on the ledger"
    refs = Counter(one.ref for one in moved.values())
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


@promise("every row is what its movements say")
def _nothing_drifts(history: History) -> Iterator[str]:
    yield from history.adrift


def _sum(row: dict) -> Sum:
    return Sum(row["amount"], row["currency"])


# ---- limits


@promise("no limit on what we sign is exceeded")
def _limits_hold(history: History) -> Iterator[str]:
    caps, uncounted = history.caps, overtaken(history)
    for (account, currency, period), those in by_period(history).items():
        rows = [row for row in those if row["ref"] not in uncounted]
        amount, kind = sum(row["amount"] for row in rows), "day" if len(period) > 7 else "month"
        if amount > caps[kind]:
            yield f"{account} sent {Sum(amount, currency)} in {period}"
        if kind == "day" and len(rows) > caps["count_per_day"]:
            yield f"{account} sent {len(rows)} times in {period}"
    back = free(history)
    for row in history.rows["transfer"]:
        if row["ref"] in back:
            continue
        most = caps["sms_most"] if row["channel"] == "sms" else caps["most"]
        if not caps["least"] <= row["amount"] <= most:
            yield f"{row['ref']} is of {row['amount']}"
        made = datetime.fromtimestamp(row["created_at"] / 1000, PHNOM_PENH)
        if row["business_day"] != str(made.date()):
            yield f"{row['ref']} of {made} was counted on {row['business_day']}"
    yield from _room(history)


def _room(history: History) -> Iterator[str]:
    """Nobody is sent more than they may hold; what comes from elsewhere cannot be refused."""
    held, given = defaultdict(int), defaultdict(int)
    held.update(history.opening)
    ours, back = set(history.accounts.values()), free(history) | overtaken(history)
    for one in history.moved:
        src, dest = (one.src, one.asset), (one.dest, one.asset)
        held[src] -= one.minor
        held[dest] += one.minor
        if one.src not in ours or one.ref in back:
            given[dest] += one.minor
        elif one.dest in ours and held[dest] - given[dest] > history.caps["held"]:
            yield f"{dest} is {held[dest]} since {one.ref}"


@promise("every counter equals its movements")
def _counters_equal(history: History) -> Iterator[str]:
    counted = {
        (row["account_id"], row["bucket"], row["period"]): (row["amount"], row["count"])
        for row in history.rows["counter"]
        if row["bucket"] in DECIMALS
    }
    moved = {
        key: (sum(row["amount"] for row in rows), len(rows))
        for key, rows in by_period(history).items()
    }
    for key in counted.keys() | moved.keys():
        if counted.get(key, (0, 0)) != moved.get(key, (0, 0)):
            yield f"{key} is counted as {counted.get(key)}, and is {moved.get(key)}"
    going, coming = defaultdict(int), defaultdict(int)
    for row in history.rows["transfer"]:
        if row["state"] == "signed":
            going[row["src_account"], row["currency"]] += row["amount"]
            coming[row["dest_account"], row["currency"]] += row["amount"]
    for row in history.rows["dispute"]:
        going[row["dest_account"], row["currency"]] += row["held"]
    for row in history.rows["holding"]:
        key = row["account_id"], row["currency"]
        under_way = going[key], coming[key]
        if (row["outgoing"], row["incoming"]) != under_way:
            yield f"{key} has {under_way} under way, its row says {row}"


@promise("every cap can be used to its end")
def _caps_usable(history: History) -> Iterator[str]:
    for _, number, amount, page in history.of("tried the rest"):
        if not (page or "").startswith(("Sent ", "In progress")):
            yield f"{number} may send {amount.typed} {amount.currency}, and was told {page!r}"


def rest(history: History, number: str, currency: str, now: datetime) -> int:
    """What this number may send now, to somebody at another bank; 0 when nothing."""
    account, caps, day = (
        history.accounts[number],
        history.caps,
        str(now.astimezone(PHNOM_PENH).date()),
    )
    periods = by_period(history)
    today, month = (periods.get((account, currency, period), []) for period in (day, day[:7]))
    holds = next(
        row["settled"] - row["outgoing"]
        for row in history.rows["holding"]
        if (row["account_id"], row["currency"]) == (account, currency)
    )
    left = min(
        caps["most"],
        caps["day"] - sum(row["amount"] for row in today),
        caps["month"] - sum(row["amount"] for row in month),
        holds,
    )
    return left if left >= caps["least"] and len(today) < caps["count_per_day"] else 0
