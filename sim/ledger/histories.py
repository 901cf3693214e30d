"""Which transactions an account had a part in, in pages.

The two backends differ more here than anywhere else:

* RocksDB keeps one entry per account and transaction, made for whoever created it and for
  everybody whose money it moves. So an account's transactions include what it received; asked for
  those of an asset it answers with those of any. It obeys the first field of an ordering only, and
  no direction; a page that begins with an unknown hash is empty; and the hash that the next page
  begins with is the hex of the hex.
* PostgreSQL keeps what an account created apart from what moved an asset, obeys the whole
  ordering, and refuses an unknown hash.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledger_client.proto import queries_pb2 as ask
from sim.ledger.refusals import Profile
from sim.ledger.store import Part

_ANY_HEIGHT = 1 << 64
_ANY_TIME = 1 << 64
_KEYS: dict[int, Callable[[Part], tuple[int, ...]]] = {
    ask.kCreatedTime: lambda it: (it.created_time,),
    ask.kPosition: lambda it: (it.height, it.position),
}


class NoSuchFirst(Exception):
    """The page should begin with a transaction that is not there."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One page: its parts, the part that the next begins with, and how many there are in all."""

    parts: list[Part]
    following: Part | None
    total: int


def page_of(
    parts: Iterable[Part],
    meta: ask.TxPaginationMeta,
    first: Part | None,
    profile: Profile,
    asset_id: str | None = None,
) -> HistoryPage:
    """The page that `meta` asks for; `first` is where its `first_tx_hash` stands, if anywhere."""
    everything, found = _chosen(list(parts), profile, asset_id)
    found = [it for it in found if _within(it, meta)]
    for order in reversed(_orders(meta, profile)):
        backwards = order.direction == ask.kDescending and profile == "postgres"
        found.sort(key=_KEYS[order.field], reverse=backwards)
    if meta.HasField("first_tx_hash"):
        place = (first.height, first.position) if first else None
        starts = [n for n, it in enumerate(found) if (it.height, it.position) == place]
        if not starts and profile == "postgres":
            raise NoSuchFirst
        found = found[starts[0] :] if starts else []
    following = found[meta.page_size] if len(found) > meta.page_size else None
    return HistoryPage(found[: meta.page_size], following, everything)


def _chosen(parts: list[Part], profile: Profile, asset_id: str | None) -> tuple[int, list[Part]]:
    """How many parts the backend counts, and those that the question is about."""
    if profile == "postgres":
        chosen = [it for it in parts if it.asset_id == (asset_id or "")]
        return len(chosen), chosen
    entries: dict[tuple[int, int], Part] = {}
    for it in parts:  # in order of asset: one that moved money overwrites "is the creator"
        entries[it.height, it.position] = it
    chosen = [it for it in entries.values() if asset_id is None or it.asset_id]
    return len(entries), chosen


def _within(part: Part, meta: ask.TxPaginationMeta) -> bool:
    lowest = meta.first_tx_height if meta.HasField("first_tx_height") else 0
    highest = meta.last_tx_height if meta.HasField("last_tx_height") else _ANY_HEIGHT
    earliest = meta.first_tx_time.ToMilliseconds() if meta.HasField("first_tx_time") else 0
    latest = meta.last_tx_time.ToMilliseconds() if meta.HasField("last_tx_time") else _ANY_TIME
    return lowest <= part.height <= highest and earliest <= part.created_time <= latest


def _orders(meta: ask.TxPaginationMeta, profile: Profile) -> list[ask.Ordering.FieldOrdering]:
    asked = list(meta.ordering.sequence)
    if not asked:
        asked = [ask.Ordering.FieldOrdering(field=ask.kPosition)]
    return asked[:1] if profile == "rocksdb" else asked
