"""What was promised of payments to the wrong person: asked back, and who got them decides."""

from collections import Counter
from collections.abc import Iterator

from histories import History, Sum
from judging import agreed, given_back, promise

SWEPT_S = 120.0  # what is over is let go by then


@promise("what is asked back is given back once at most, by who received it")
def _given_back_once(history: History) -> Iterator[str]:
    moved = {one.ref for one in history.moved}
    rows = {row["ref"]: row for row in history.rows["transfer"]}
    back = {row["intent_id"]: row for row in given_back(history).values()}
    for asked in history.rows["dispute"]:
        paid, given = rows[asked["ref"]], back.get(asked["id"])
        if paid["ref"] not in moved or paid["src_account"] != asked["src_account"]:
            yield f"{asked['ref']} was asked back by who had not paid it"
        if (given is not None and given["ref"] in moved) != (asked["state"] == "returned"):
            yield f"{asked['ref']} is {asked['state']}, and given back by {given}"
        if given and _seen(given) != _seen(paid, "dest_account", "src_account"):
            yield f"{paid} was given back by {given}"


@promise("only who has paid and knows the PIN asks for money back")
def _asked_with_pin(history: History) -> Iterator[str]:
    numbers = {account: number for number, account in history.accounts.items()}
    asked = Counter(
        (numbers[row["src_account"]], row["dest_msisdn"], Sum(row["amount"], row["currency"]))
        for row in history.rows["dispute"]
    )
    said = agreed(history, "asks back")
    for key in asked:
        if asked[key] > said[key]:
            yield f"{key} was asked back {asked[key]} times, and said so {said[key]} times"


def _seen(row: dict, src: str = "src_account", dest: str = "dest_account") -> tuple:
    return row[src], row[dest], row["currency"], row["amount"]


@promise("what is asked back is held no longer than its time, and never more than is there")
def _holds_end(history: History) -> Iterator[str]:
    end_ms = int(1000 * (history.start.timestamp() + history.events[-1][0] - SWEPT_S))
    for row in history.rows["dispute"]:
        if row["held"] and (row["state"] != "held" or row["due_at"] < end_ms):
            yield f"{row['ref']} is {row['state']}, and holds {row['held']}"
        if row["state"] in ("asked", "held") and row["answer_by"] < end_ms:
            yield f"{row['ref']} waits for an answer for ever"
    for row in history.rows["holding"]:
        if row["outgoing"] > row["settled"]:
            yield f"of {row['settled']} {row['outgoing']} is under way: {row}"
