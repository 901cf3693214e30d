"""The tables: the only truth about wallets, transfers, messages and attempts.

SQLModel classes for their columns; operations use SQLAlchemy Core on `table_of(X)`.
Money is BIGINT minor units, ids are text, times are UTC milliseconds since 1970 in BIGINT (one
form on SQLite and PostgreSQL, no time-zone traps), days are ISO text in Asia/Phnom_Penh. No
column may hold a PIN, a raw carrier text or a key that is not sealed.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
    true,
)
from sqlmodel import Field, SQLModel


def table_of(model: type[SQLModel]) -> Table:
    """The Core table of a model, for operations (`__table__` is invisible to the type checker)."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def _big(*, default: int | None = None, nullable: bool = False, index: bool = False) -> Column[int]:
    server = None if default is None else str(default)
    return Column(BigInteger, nullable=nullable, index=index, server_default=server)


class Subscriber(SQLModel, table=True):
    """A number that has spoken to us, wallet or not."""

    msisdn: str = Field(primary_key=True)
    language: str | None = None
    lookup_day: str = ""  # business day of `lookups`
    lookups: int = 0  # look-ups of other people on that day


class Wallet(SQLModel, table=True):
    """A wallet of ours: whose it is, its sealed key, its PIN guard.

    `state` is opening | open | held | closed. At most one wallet per number is not closed
    (partial unique index); only this table maps a number to an account.
    """

    __table_args__ = (
        Index(
            "wallet_of_number",
            "msisdn",
            unique=True,
            sqlite_where=Column("state") != "closed",
            postgresql_where=Column("state") != "closed",
        ),
    )

    account_id: str = Field(primary_key=True)
    msisdn: str = Field(index=True)  # also of closed ones
    name: str = ""  # as the bank knows it; shown to others masked only
    tier: str = "basic"
    role: str = "subscriber"  # subscriber | agent | merchant
    till: str | None = Field(default=None, unique=True)
    dollars: bool = False
    state: str = "opening"
    public_key: str  # on the ledger now
    key_version: int = 1
    kek_version: int = 1
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # empty: no PIN yet
    sealed_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    wrong_pins: int = 0  # since the last right one
    locked_until: int = Field(default=0, sa_column=_big(default=0))  # ms
    opened_at: int = Field(default=0, sa_column=_big(default=0))  # ms
    # Of one made by receiving: waiting | claiming | returning; empty once it has its owner.
    claim: str = Field(default="", sa_column_kwargs={"server_default": text("''")})


class Replacement(SQLModel, table=True):
    """A key that is to take the place of a wallet's key, waiting here for its block.

    `state` is awaiting (a recovery that lacks its second signature) | pending | done | failed. Of
    one wallet at most one is pending (partial unique index). Until it is done the wallet's row
    keeps the old key; then the new one is there, and `sealed_key` here is emptied.
    """

    __table_args__ = (
        Index(
            "replacement_under_way",
            "account_id",
            unique=True,
            sqlite_where=Column("state") == "pending",
            postgresql_where=Column("state") == "pending",
        ),
    )

    tx_hash: str = Field(primary_key=True)  # of the transaction that adds it and removes the old
    account_id: str = Field(index=True)
    reason: str  # first_pin | theft | forgotten
    public_key: str
    key_version: int
    kek_version: int
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sealed_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str
    created_at: int = Field(sa_column=_big())  # ms


class Attempt(SQLModel, table=True):
    """One PIN attempt, reserved and committed before argon2 runs; unique per turn.

    `state` is reserved | wrong | right | given_back.
    """

    __table_args__ = (
        Index(
            "attempt_wrong",
            "at",
            "account_id",
            sqlite_where=Column("state") == "wrong",
            postgresql_where=Column("state") == "wrong",
        ),
    )

    turn_key: str = Field(primary_key=True)  # Origin.turn_key
    account_id: str = Field(index=True)
    state: str = "reserved"
    at: int = Field(sa_column=_big(index=True))  # ms


class Holding(SQLModel, table=True):
    """What a wallet holds of one currency.

    `settled` follows the ledger's blocks; `outgoing` is reserved by our transfers not yet
    settled and held by open disputes, `incoming` is room reserved for transfers on their way to
    it. Available to send: settled - outgoing.
    """

    account_id: str = Field(primary_key=True)
    currency: str = Field(primary_key=True)
    settled: int = Field(default=0, sa_column=_big(default=0))
    outgoing: int = Field(default=0, sa_column=_big(default=0))
    incoming: int = Field(default=0, sa_column=_big(default=0))
    movement: int = Field(default=0, sa_column=_big(default=0))  # number of its last movement


class Counter(SQLModel, table=True):
    """What a wallet has used of a limit: reserved and spent together, per period.

    `bucket` is a currency code, or "ALL" when currencies are combined; `period` is
    "2026-11-22" (business day) or "2026-11" (month). The bank's recoveries of a day are counted
    here too: the recoverer's account, bucket "recovery"; so are the wallets that somebody's
    payments have made, bucket "made".
    """

    account_id: str = Field(primary_key=True)
    bucket: str = Field(primary_key=True)
    period: str = Field(primary_key=True, index=True)
    amount: int = Field(default=0, sa_column=_big(default=0))
    count: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    movement: int = Field(default=0, sa_column=_big(default=0))  # number of its last movement


class Movement(SQLModel, table=True):
    """One change of a holding or a counter: a link of its wallet's chain, never changed again.

    `period` is empty for a holding, whose `item` is its currency; a, b and c are its settled,
    outgoing and incoming. Of a counter, `item` is the bucket, a its amount and b its count. `why`
    is the state that a payment (signed: reserved) or a dispute came to, or moved: by somebody
    else's transaction; recovered; brought: from before there was a chain. `desk.chain` says what
    `bound` and `hash` are made of.
    """

    __table_args__ = (
        Index(
            "movement_of_block",
            "height",
            sqlite_where=Column("height").is_not(None),
            postgresql_where=Column("height").is_not(None),
        ),
        {"sqlite_with_rowid": False},
    )

    account_id: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    item: str
    period: str
    by_a: int = Field(sa_column=_big())  # what it changed …
    by_b: int = Field(sa_column=_big())
    by_c: int = Field(sa_column=_big())
    a: int = Field(sa_column=_big())  # … and what came of it
    b: int = Field(sa_column=_big())
    c: int = Field(sa_column=_big())
    why: str
    tx_hash: str
    height: int | None = Field(default=None, sa_column=_big(nullable=True))  # settled by this block
    at: int = Field(sa_column=_big())  # ms
    bound: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ChainKey(SQLModel, table=True):
    """The key of all movements' hashes, sealed as a wallet's without a PIN. One row."""

    __tablename__ = "chain_key"

    account_id: str = Field(primary_key=True)
    key_version: int
    kek_version: int
    salt: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    sealed_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    height: int = Field(sa_column=_big())  # the blocks above it have their movements


class Submission(SQLModel, table=True):
    """A transaction we signed: its exact bytes, sent again and again until a block holds it.

    `state` is signed | committed | rejected | cancelled | expired. `purpose` is transfer |
    opening | grant | replacement | return | seed …; members of one atomic batch share `batch` and
    are sent together in `position` order.
    """

    __table_args__ = (Index("submission_due", "state", "next_send_at"),)

    tx_hash: str = Field(primary_key=True)
    purpose: str
    account_id: str = Field(index=True)  # whose wallet it concerns
    batch: str = Field(index=True)
    position: int = 0
    created_time: int = Field(sa_column=_big())  # ms, inside the signed bytes
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = "signed"
    first_sent_at: int | None = Field(default=None, sa_column=_big(nullable=True))  # ms
    next_send_at: int = Field(default=0, sa_column=_big(default=0))  # ms
    sends: int = 0
    reason: str | None = None  # the ledger's first word on a refusal, when it was heard
    settled_at: int | None = Field(default=None, sa_column=_big(nullable=True))  # ms
    height: int | None = Field(default=None, sa_column=_big(nullable=True))


class Transfer(SQLModel, table=True):
    """A payment one of our wallets signed. `state` as its submission's."""

    __table_args__ = (
        Index("transfer_of_sender", "src_account", "created_at"),
        Index("transfer_of_sender_in_state", "src_account", "state", "created_at"),
        Index(
            "transfer_of_sender_to",
            "src_account",
            "dest_msisdn",
            sqlite_where=Column("state") == "committed",
            postgresql_where=Column("state") == "committed",
        ),
        Index(
            "transfer_of_turn",
            "turn_key",
            "business_day",
            unique=True,
            sqlite_where=Column("turn_key") != "",
            postgresql_where=Column("turn_key") != "",
        ),
    )

    ref: str = Field(primary_key=True)  # what people are told; also the ledger description
    intent_id: str = Field(unique=True)
    turn_key: str  # Origin.turn_key; empty for what no turn asked for
    tx_hash: str = Field(unique=True)
    src_account: str
    dest_account: str = Field(index=True)
    src_msisdn: str
    dest_msisdn: str  # empty when it is for a bank account
    beneficiary: str | None = None  # that account's number
    currency: str
    amount: int = Field(sa_column=_big())
    bucket: str  # the counter it used (none when it gives money back: empty) …
    counted: int = Field(sa_column=_big())  # … and by how much
    business_day: str  # "2026-11-22" in Asia/Phnom_Penh, when it was signed
    channel: str  # ussd | sms | return
    state: str = "signed"
    created_at: int = Field(sa_column=_big())  # ms
    settled_at: int | None = Field(default=None, sa_column=_big(nullable=True))  # ms
    movement: int = Field(default=0, sa_column=_big(default=0))  # the sender's, that reserved it


class Dispute(SQLModel, table=True):
    """A payment to the wrong person whose money is asked back.

    `state` is asked | held (of the receiver's `outgoing` `held` is this dispute's) | returned (a
    transfer with this id as its intent is signed) | refused | ended (not answered in time, paid
    back by an ordinary payment, or the ledger did not take the return). The first two are open;
    `held` is zero in all but `held`.
    """

    __table_args__ = (
        Index("dispute_of_payer", "src_account", "business_day"),
        Index(
            "dispute_open",
            "dest_account",
            sqlite_where=Column("state").in_(("asked", "held")),
            postgresql_where=Column("state").in_(("asked", "held")),
        ),
        # SQLite would take an index that begins with `state` for every question about open ones.
        Index(
            "dispute_due",
            "due_at",
            sqlite_where=Column("state").in_(("asked", "held")),
            postgresql_where=Column("state").in_(("asked", "held")),
        ),
    )

    id: str = Field(primary_key=True)  # the intent of asking, and of giving back
    ref: str = Field(unique=True)  # of the payment
    tx_hash: str = Field(unique=True)  # likewise
    src_account: str  # who paid, and asks
    dest_account: str  # who received, and is asked …
    dest_msisdn: str  # … under the number that was paid
    currency: str
    amount: int = Field(sa_column=_big())
    held: int = Field(sa_column=_big())
    state: str
    business_day: str  # "2026-11-22" in Asia/Phnom_Penh, when it was asked
    asked_at: int = Field(sa_column=_big())  # ms
    due_at: int = Field(sa_column=_big())  # ms: when the hold ends (held), or the dispute (asked)
    answer_by: int = Field(sa_column=_big())  # ms: when the dispute ends
    closed_at: int | None = Field(default=None, sa_column=_big(nullable=True))  # ms
    movement: int = Field(
        default=0, sa_column=_big(default=0)
    )  # the receiver's, of its last change


class Receipt(SQLModel, table=True):
    """Money that reached one of our wallets, one row per ledger movement (also from elsewhere)."""

    __table_args__ = (
        Index("receipt_of_account", "account_id", "at"),
        Index("receipt_named", "account_id", "ref", "at"),
    )

    tx_hash: str = Field(primary_key=True)
    command_index: int = Field(primary_key=True)
    account_id: str
    src_account: str
    currency: str
    amount: int = Field(sa_column=_big())
    ref: str
    at: int = Field(sa_column=_big())  # ms
    # When it goes back, as its sender was told, if it came into a wallet without an owner; ms.
    due_at: int | None = Field(default=None, sa_column=_big(nullable=True))
    movement: int = Field(default=0, sa_column=_big(default=0))  # the wallet's, that it came with


class Unclaimed(SQLModel, table=True):
    """Money in a wallet without an owner yet, one row per `Receipt`: it goes back unless claimed.

    `state` is waiting | returning | returned | claimed; `ref` is of the transfer that returns it,
    or was to. What no movement tells of it, its receipt and that transfer do. Until it is `told`
    its number has heard nothing of it: there were too many invitations that day.
    """

    __table_args__ = (
        # SQLite would take an index that begins with `state` for every question about what waits.
        Index(
            "unclaimed_due",
            "due_at",
            sqlite_where=Column("state") == "waiting",
            postgresql_where=Column("state") == "waiting",
        ),
        Index(
            "unclaimed_untold",
            "account_id",
            sqlite_where=text("state = 'waiting' AND NOT told"),
            postgresql_where=text("state = 'waiting' AND NOT told"),
        ),
    )

    tx_hash: str = Field(primary_key=True)
    command_index: int = Field(primary_key=True)
    account_id: str = Field(index=True)
    state: str = "waiting"
    due_at: int = Field(sa_column=_big())  # ms; later than promised only after a failed return
    told: bool = Field(
        default=True, sa_column=Column(Boolean, nullable=False, server_default=true())
    )
    ref: str | None = Field(default=None, index=True)


class Message(SQLModel, table=True):
    """An SMS to a phone: persisted with the fact it tells, sent after.

    `state` is queued | sending | sent | failed | dropped | unknown; the last four are final, and
    then `text` is emptied. A refused one has failed, one whose use was over was dropped, and of an
    unknown one nobody can tell whether it was sent. Higher `priority` leaves first.
    """

    __table_args__ = (
        Index("message_due", "state", "next_try_at"),
        Index("message_of_number", "msisdn", "queued_at"),
    )

    id: str = Field(primary_key=True)
    msisdn: str
    kind: str  # code | receipt | reply | notice | invitation
    text: str = Field(sa_column=Column(Text, nullable=False))
    priority: int = 0
    state: str = "queued"
    carrier_id: str | None = Field(default=None, index=True)  # the carrier's message id
    tries: int = 0
    # Tries that may have reached the phone: counted before each, taken back where surely not.
    unsure: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    next_try_at: int = Field(default=0, sa_column=_big(default=0))  # ms; final: when it became so
    queued_at: int = Field(sa_column=_big())  # ms
    failure: str | None = None


class DeliveryReport(SQLModel, table=True):
    """The carrier's last word on one SMS, by its own id: `message.carrier_id` finds it.

    Beside the message and not in it: a report may come before its send was recorded, and so
    neither has to wait for the other.
    """

    __tablename__ = "delivery_report"

    carrier_id: str = Field(primary_key=True)
    delivery: str  # delivered | failed
    failure: str | None = None
    at: int = Field(sa_column=_big(index=True))  # ms


class Heard(SQLModel, table=True):
    """An SMS we have acted upon, by the carrier's id: never acted upon twice.

    One that may pay is there before, and is somebody's alone until `leased_until`.
    """

    carrier: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    at: int = Field(sa_column=_big(index=True))  # ms
    leased_until: int = Field(default=0, sa_column=_big(default=0))  # ms; 0: it was acted upon


class Challenge(SQLModel, table=True):
    """A payment asked for by SMS, waiting for `YES <code> <PIN>` from the same number."""

    msisdn: str = Field(primary_key=True)
    form: str = Field(primary_key=True)  # one of each at a time: a new one replaces the older …
    dispute: str = Field(primary_key=True)  # … but for each dispute; empty for all else
    intent_id: str
    code_mac: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # keyed hash of the code
    answers: str = Field(sa_column=Column(Text, nullable=False))  # JSON, no PIN
    wrong_codes: int = 0
    expires_at: int = Field(sa_column=_big())  # ms


class Listing(SQLModel, table=True):
    """A wallet that another bank keeps for a number, as its opener published it on the ledger."""

    msisdn: str = Field(primary_key=True)
    bank: str = Field(primary_key=True)  # domain
    account_id: str = Field(index=True)


class Cursor(SQLModel, table=True):
    """How far the ledger's blocks have been settled. One row, id 1."""

    id: int = Field(default=1, primary_key=True)
    height: int = Field(default=0, sa_column=_big(default=0))
    block_hash: str = ""
    block_time: int = Field(default=0, sa_column=_big(default=0))  # ms
    times: str = Field(default="[]", sa_column=Column(Text, nullable=False, server_default="[]"))
