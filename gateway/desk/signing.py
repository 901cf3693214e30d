"""What a payment asks of the ledger, the ref that makes it one of its kind, and when it may be.

Pure, but for one look at how far blocks are settled.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sqlalchemy import Connection, select

from gateway.clock import Entropy
from gateway.desk.amounts import Assets, to_decimal
from gateway.desk.checks import Want
from gateway.stores.tables import Cursor, table_of
from ledger_client.ledger import TransferAsset

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: read out over a phone
_DESCRIBED: Final = re.compile(rf"([{_CROCKFORD}]{{8}})(?: ACC (.+))?").fullmatch

_SETTLED: Final = select(table_of(Cursor).c.height)

MaySign = Callable[[float], Awaitable[bool]]
"""May anything be signed yet? Waits so many seconds for it (`Follower.walked`)."""


async def at_once(_patience_s: float) -> bool:
    """Signing waits for nothing."""
    return True


def went_back(connection: Connection, seen: int) -> bool:
    """Does this database know of fewer blocks than this process has `seen` settled in it?

    A standby took over that lacked the last commits, or a backup was restored beside us: what was
    paid since is not known here, nor what of the limits is used.
    """
    return bool(seen) and (connection.execute(_SETTLED).scalar() or 0) < seen


def heights(connection: Connection, asked: Sequence[None]) -> list[int]:
    """How many blocks this database knows of, for each who asks."""
    return [connection.execute(_SETTLED).scalar() or 0 for _ in asked]


def fresh_ref(entropy: Entropy) -> str:
    """Eight characters that people can read out: what they are told, and the description."""
    bits = int.from_bytes(entropy(5))
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(35, -1, -5))


def command_of(want: Want, src_account: str, ref: str, assets: Assets) -> TransferAsset:
    """The one command of a payment."""
    return TransferAsset(
        src=src_account,
        dest=want.dest_account,
        asset_id=assets.id(want.amount.currency),
        amount=to_decimal(want.amount),
        # Unique by its ref: two payments of one millisecond never share a hash.
        description=f"{ref} ACC {want.beneficiary}" if want.beneficiary else ref,
    )


def described(description: str) -> tuple[str, str | None] | None:
    """The ref and the bank account of a payment, read back; None of what is described otherwise."""
    found = _DESCRIBED(description)
    return (found[1], found[2]) if found else None
