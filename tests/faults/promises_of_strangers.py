"""What was promised of money for people without a wallet: it is claimed, or it comes back."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from histories import History, Moved, Sum
from judging import Step, blocks, gone, promise

CLOCKS_S = 4.0  # apart at most
SWEPT_S = 120.0  # what is due has gone by then, if nobody claims it
DAY_S = 24 * 3600


@promise("money for a stranger is claimed, or comes back once to whom it came from")
def _claimed_or_back(history: History) -> Iterator[str]:
    back, days_s = gone(history), DAY_S * history.unclaimed["days"]
    waiting: defaultdict[tuple, list[float]] = defaultdict(list)
    for block in blocks(history):
        for one in block.moved:
            if one.ref in back:
                since = waiting[one.src, one.dest, one.sum]
                yield from _gone_back(one, block, since, days_s)
            elif one.dest in block.ownerless:
                waiting[one.dest, one.src, one.sum].append(block.at_s)
        for key in [key for key in waiting if key[0] in block.claimed]:
            del waiting[key]
    refused = {
        (row["src_account"], row["dest_account"], Sum(row["amount"], row["currency"]))
        for row in back.values()
        if row["state"] != "committed"  # and is tried again a day later
    }
    end_s = history.events[-1][0]
    for key, times in waiting.items():
        if times and key not in refused and end_s - times[0] > days_s + SWEPT_S:
            yield f"{key} waits since {times[0]:.0f} s"


def _gone_back(one: Moved, block: Step, since: list[float], days_s: float) -> Iterator[str]:
    if one.src not in block.ownerless:
        yield f"{one} went back although it was claimed"
    elif not since:
        yield f"{one} goes back, and has not come from there"
    elif (stayed_s := block.at_s - since.pop(0)) < days_s - CLOCKS_S:
        yield f"{one} went back after {stayed_s:.0f} s"


@promise("a wallet that nobody has claimed is sent no more than it may be")
def _stays_small(history: History) -> Iterator[str]:
    held: Counter[tuple[str, str]] = Counter()
    for block in blocks(history):
        for one in block.moved:
            held[one.src, one.asset] -= one.minor
            held[one.dest, one.asset] += one.minor
            if one.dest in block.ownerless - block.claimed:
                if one.minor > history.unclaimed["most"]:
                    yield f"{one} is too much at once"
                if (holds := held[one.dest, one.asset]) > history.unclaimed["held"]:
                    yield f"{one.dest} holds {holds} since {one.ref}"


@promise("nobody has more wallets made than he may")
def _few_made(history: History) -> Iterator[str]:
    last = {row["tx_hash"] for row in history.rows["submission"] if row["position"]}
    made = Counter(
        (row["src_account"], row["business_day"])
        for row in history.rows["transfer"]
        if row["tx_hash"] in last
    )
    for (account, day), count in made.items():
        if count > history.unclaimed["wallets"]:
            yield f"{account} had {count} wallets made on {day}"
