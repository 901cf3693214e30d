"""A wallet's key replaced by the bank, for an owner whose PIN is forgotten or known to a thief.

The recoverer's account holds each wallet's grants to change its keys and needs two signatures, of
two people on two hosts. `begin` makes the new key, seals it without a PIN and stores it awaiting;
what it answers is signed once, carried to the second signer and back (`recovery_request`). `finish`
hands it to the outbox, in one commit with the day's count: however many are begun, no more than so
many wallets a day are recovered. Until then the old key serves as ever, and a request that is lost,
or too old, has done nothing. Afterwards the wallet has no PIN, and its owner chooses one
(`renewal`), which replaces the key again.

No copy of any key is kept for this, and no PIN comes here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from gateway.clock import Clock, Entropy
from gateway.desk import replacement
from gateway.desk.books import IS_ALIVE
from gateway.desk.chain import RECOVERED, Entry
from gateway.desk.journal import Journal
from gateway.desk.locks import lock_wallets
from gateway.desk.recovery_request import QUORUM, RecoveryError, Request
from gateway.desk.replacement import NewKey, Reason, exchange
from gateway.desk.times import to_ms
from gateway.stores.dialects import insert_ignore
from gateway.stores.sql import Sql
from gateway.stores.tables import Counter, Replacement, Wallet, table_of
from gateway.vault import Vault
from ledger_client.keys import KeyForm, SigningKey
from ledger_client.ledger import Ledger, QueryRefused
from ledger_client.transaction import build
from menus.kinds import Msisdn
from menus.limits import business_day

COUNTED_AS: Final = "recovery"  # the counter's bucket, on the recoverer's account

_WALLET, _REPLACEMENT, _COUNTER = table_of(Wallet), table_of(Replacement), table_of(Counter)


class Owned(NamedTuple):
    """A number's wallet, and how many keys it has had."""

    account_id: str
    key_version: int


class Asked(NamedTuple):
    """What a stored request is for."""

    account_id: str
    key_version: int  # of the new key


@dataclass(frozen=True, slots=True)
class HandOver:
    """A request that both have signed, on business day `day`."""

    request: Request
    now_ms: int
    day: str
    most: int  # of such a day


class Recovery:
    """What the bank's two people do with our database. Both steps may be run again."""

    def __init__(
        self,
        sql: Sql,
        vault: Vault,
        domain: str,
        *,
        per_day: int,
        journal: Journal,
        clock: Clock,
        entropy: Entropy,
        key_form: KeyForm = "raw",
    ) -> None:
        self._sql = sql
        self._vault = vault
        self._recoverer = f"recoverer@{domain}"
        self._per_day = per_day
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._key_form: KeyForm = key_form

    async def begin(
        self, number: Msisdn, reason: Reason, key: SigningKey, ledger: Ledger
    ) -> Request:
        """Make and store a new key, and ask for it with the first signature.

        It takes the place of every key that the ledger has of the wallet: whose key was stolen may
        have got another beside it, and after a restore ours may be none of them.
        """
        (wallet,) = await self._sql.run(find, [number.e164])
        if wallet is None:
            raise RecoveryError(f"{number.e164} has no wallet here")
        old = await self._keys(wallet.account_id, ledger)
        if not old:
            raise _busy(number)
        new = SigningKey.generate(self._entropy, self._key_form)
        version = wallet.key_version + 1
        sealed = self._vault.seal_without_pin(wallet.account_id, version, new.seed)
        commands = exchange(wallet.account_id, new=new.public_key, old=old)
        at_ms = to_ms(self._clock.now())
        signed = build(self._recoverer, commands, at_ms, key=key, quorum=QUORUM)
        made = NewKey(wallet.account_id, reason, new.public_key, sealed, signed.tx_hash, at_ms)
        (stored,) = await self._sql.run(store_awaiting, [made])
        if not stored:
            raise _busy(number)
        return Request.of(reason, signed.data)

    async def _keys(self, account_id: str, ledger: Ledger) -> list[str]:
        try:
            return sorted(await ledger.signatories(account_id) or ())
        except QueryRefused as error:
            raise RecoveryError(
                f"{error}: the ledger does not tell which keys {account_id} has; is the key file "
                f"one of {self._recoverer}?"
            ) from None

    async def finish(self, request: Request) -> None:
        """Hand a request that both have signed to the outbox of whichever gateway runs."""
        now = self._clock.now()
        request.check_time(now)
        if len(request.signers) < QUORUM:
            raise RecoveryError("the second signature is missing: `ussd-gateway recover sign`")
        asked = HandOver(request, to_ms(now), business_day(now), self._per_day)
        (refusal,) = await self._sql.run(partial(hand_over, journal=self._journal), [asked])
        if refusal:
            raise RecoveryError(refusal)


def _busy(number: Msisdn) -> RecoveryError:
    return RecoveryError(
        f"the wallet of {number.e164} is being opened, or its key replaced, at this moment: "
        "try again in a minute"
    )


# ---- operations


_FIND = select(*(_WALLET.c[name] for name in Owned._fields)).where(
    _WALLET.c.msisdn == bindparam("number"),
    IS_ALIVE,
    _WALLET.c.claim == "",  # nobody has forgotten the PIN of a wallet without an owner
)
_ASKED = select(*(_REPLACEMENT.c[name] for name in Asked._fields)).where(
    _REPLACEMENT.c.tx_hash == bindparam("tx_hash")
)
_PENDING = (
    update(_REPLACEMENT)
    .where(_REPLACEMENT.c.tx_hash == bindparam("b_hash"), _REPLACEMENT.c.state == "awaiting")
    .values(state="pending")
)
_COUNT = (
    update(_COUNTER)
    .where(
        _COUNTER.c.account_id == bindparam("b_account"),
        _COUNTER.c.bucket == COUNTED_AS,
        _COUNTER.c.period == bindparam("b_day"),
        _COUNTER.c.count < bindparam("b_most"),
    )
    .values(count=_COUNTER.c.count + 1)
)
_POINT = (
    update(_COUNTER)
    .where(
        _COUNTER.c.account_id == bindparam("b_account"),
        _COUNTER.c.bucket == COUNTED_AS,
        _COUNTER.c.period == bindparam("b_day"),
        _COUNTER.c.count <= bindparam("b_most"),
    )
    .values(movement=bindparam("b_movement"))
)


def find(connection: Connection, numbers: Sequence[str]) -> list[Owned | None]:
    """The wallet of each number."""
    found = [connection.execute(_FIND, {"number": number}).first() for number in numbers]
    return [None if row is None else Owned(*row) for row in found]


def store_awaiting(connection: Connection, keys: Sequence[NewKey]) -> list[bool]:
    """Write new keys down, unless a wallet's key is another by now."""
    lock_wallets(connection, {key.account_id for key in keys})
    return [_store_awaiting(connection, key) for key in keys]


def _store_awaiting(connection: Connection, key: NewKey) -> bool:
    if not replacement.state_of(connection, key.tx_hash):
        present = replacement.present(connection, key.account_id)
        if present is None or present.key_version != key.sealed.key_version - 1:
            return False
        replacement.store(connection, key, "awaiting")
    return True


def hand_over(
    connection: Connection, asked: Sequence[HandOver], *, journal: Journal
) -> list[str | None]:
    """Put requests into the outbox; of each that was not, why. Twice is once."""
    return [_hand_over(journal, connection, one) for one in asked]


def _hand_over(journal: Journal, connection: Connection, asked: HandOver) -> str | None:
    row = connection.execute(_ASKED, {"tx_hash": asked.request.tx_hash}).first()
    if row is None:
        return "this database knows nothing of the request: was it begun with another one?"
    lock_wallets(connection, [row.account_id])
    state = replacement.state_of(connection, asked.request.tx_hash)
    if state in ("pending", "done"):
        return None  # handed over before
    refusal = _refusal(journal, connection, asked, Asked(*row), state)
    if refusal is None:
        connection.execute(_PENDING, {"b_hash": asked.request.tx_hash})
        made_at, now_ms = to_ms(asked.request.asked_at), asked.now_ms
        replacement.send(
            connection,
            row.account_id,
            (asked.request.tx_hash, made_at, asked.request.data),
            now_ms=now_ms,
        )
    return refusal


def _refusal(
    journal: Journal, connection: Connection, asked: HandOver, wanted: Asked, state: str | None
) -> str | None:
    if state == "failed":
        return "the ledger has refused this request: begin again"
    present = replacement.present(connection, wanted.account_id)
    if present is None:
        return "the wallet's key is being replaced at this moment: try again in a minute"
    if present.key_version != wanted.key_version - 1:
        return "the wallet has had a new key since this was begun: begin again if it is needed"
    if not _counted(journal, connection, asked):
        return (
            f"{asked.most} wallets were recovered today, and no more may be "
            "(GATEWAY_RECOVERIES_PER_DAY): finish it tomorrow"
        )
    return None


def _counted(journal: Journal, connection: Connection, asked: HandOver) -> bool:
    """Count one more of this day; False when there may be none."""
    recoverer = asked.request.recoverer
    key = {"account_id": recoverer, "bucket": COUNTED_AS, "period": asked.day}
    insert_ignore(connection, Counter, [{**key, "amount": 0, "count": 0}])
    journal.alone(connection)
    values = {"b_account": recoverer, "b_day": asked.day, "b_most": asked.most}
    if connection.execute(_COUNT, values).rowcount != 1:
        return False
    line = (recoverer, COUNTED_AS, asked.day)
    hash_, now_ms = asked.request.tx_hash, asked.now_ms
    entry = Entry(line, (0, 1, 0), RECOVERED, hash_, None, now_ms)
    (number,) = journal.write(connection, [entry])
    connection.execute(_POINT, {**values, "b_movement": number})
    return True
