"""The ledger as the gateway sees it: one protocol, its values, and what an outcome means.

Nothing here knows gRPC, Iroha's messages or keys; `iroha1.py` implements this against a real
network. Amounts are decimal strings as on the ledger, times are milliseconds since 1970 UTC,
hashes are lower-case hex.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class LedgerError(Exception):
    """Anything this package raises on purpose."""


class InvalidTransaction(LedgerError):
    """A rule of the ledger would refuse this before signing; the message names field and rule."""


class LedgerUnreachable(LedgerError):
    """No peer answered in time. For `submit` the bytes may have arrived: unknown, never failed."""


class QueryRefused(LedgerError):
    """A peer answered a query with an error; `reason` and `code` are the ledger's own."""

    def __init__(self, reason: str, code: int, message: str = "") -> None:
        super().__init__(f"query refused: {reason}, code {code} {message}".strip())
        self.reason = reason
        self.code = code


class Verdict(Enum):
    """What one peer knows of a transaction hash, and what that means for whoever sent it.

    ==========  =====  ================  =================  =====================================
    verdict     final  may still commit  may be sent again  told when
    ==========  =====  ================  =================  =====================================
    UNKNOWN     no     yes               yes                NOT_RECEIVED, or not signed enough in
                                                            time: a peer's queue is memory
    PENDING     no     yes               no need            on its way, also when about to fail
    INVALID     no     yes               yes                refused unseen: time may heal it, and
                                                            a badly signed copy may have caused it
    REJECTED    yes    no                no                 in a block as rejected, for ever
    COMMITTED   yes    it has            no                 in a block
    ==========  =====  ================  =================  =====================================

    Sending the same bytes again is always harmless; signing anew is not, before a final verdict.
    """

    UNKNOWN = "unknown"
    PENDING = "pending"
    INVALID = "invalid"
    REJECTED = "rejected"
    COMMITTED = "committed"

    @property
    def final(self) -> bool:
        """Can no honest peer ever say otherwise?"""
        return self in (Verdict.COMMITTED, Verdict.REJECTED)

    @property
    def may_still_commit(self) -> bool:
        """Must whatever was reserved for it stay reserved?"""
        return self not in (Verdict.COMMITTED, Verdict.REJECTED)

    @property
    def may_be_sent_again(self) -> bool:
        """Is there a use in sending the same bytes again?"""
        return self in (Verdict.UNKNOWN, Verdict.INVALID)


@dataclass(frozen=True, slots=True)
class TxStatus:
    """One peer's word on one hash. `code` and `text` are told live only, and only once."""

    tx_hash: str
    verdict: Verdict
    code: int = 0
    command_index: int = 0
    text: str = ""

    @property
    def final(self) -> bool:
        """Can no honest peer ever say otherwise?"""
        return self.verdict.final


# Where a stateless refusal lies, in irohad's own nesting of what it validates.
_HEALED_BY_TIME_OR_COPY = ("CreatedTime", "Signatures list")


def never(words: Sequence[TxStatus]) -> bool:
    """Do these peers agree that the transaction can never enter a block?

    Two must refuse it without looking at their state, for a reason that lies in what was signed:
    a wrong signature may be that of somebody's spoilt copy (the hash covers none), a time window
    may open, and what names another transaction is told to all that came in one call with that.
    No other may have seen it go further.
    """
    refused = [word for word in words if word.verdict is Verdict.INVALID]
    others = {word.verdict for word in words} - {Verdict.INVALID, Verdict.UNKNOWN}
    return len(refused) >= 2 and not others and all(map(_lasts, refused))  # noqa: PLR2004 - one may lie


def _lasts(word: TxStatus) -> bool:
    healed = any(place in word.text for place in _HEALED_BY_TIME_OR_COPY)
    return word.tx_hash in word.text and not healed


def disagree(words: Sequence[TxStatus]) -> bool:
    """Does one peer say committed and another rejected? One of them lies, or lost its past."""
    return {Verdict.COMMITTED, Verdict.REJECTED} <= {word.verdict for word in words}


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction, ready to be stored and sent; `payload_hash` is its identity."""

    tx_hash: str
    reduced_hash: str
    created_time: int  # ms
    data: bytes  # the serialised Transaction, exactly as it must be sent, again and again


@dataclass(frozen=True, slots=True)
class TransferAsset:
    """Move `amount` from `src` to `dest`; whoever signs owns `src`, or was granted it."""

    src: str
    dest: str
    asset_id: str
    amount: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class CreateAccount:
    """Make an account with one key and the default role of its domain."""

    account_name: str
    domain_id: str
    public_key: str

    @property
    def account_id(self) -> str:
        return f"{self.account_name}@{self.domain_id}"


@dataclass(frozen=True, slots=True)
class AddSignatory:
    """Let one more key sign for the account."""

    account_id: str
    public_key: str


@dataclass(frozen=True, slots=True)
class RemoveSignatory:
    """Let a key sign for the account no longer."""

    account_id: str
    public_key: str


@dataclass(frozen=True, slots=True)
class GrantPermission:
    """Give `account_id` a right over the creator's own account."""

    account_id: str
    permission: str  # e.g. "can_add_my_signatory"


@dataclass(frozen=True, slots=True)
class SetAccountDetail:
    """Write a text under a key of an account; on one's own account it needs no right."""

    account_id: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class AddAssetQuantity:
    """Mint into the creator's own account."""

    asset_id: str
    amount: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class SubtractAssetQuantity:
    """Burn from the creator's own account."""

    asset_id: str
    amount: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class OtherCommand:
    """A command of the ledger that this project never sends, by its field name in the schema."""

    name: str


Command = (
    TransferAsset
    | CreateAccount
    | AddSignatory
    | RemoveSignatory
    | GrantPermission
    | SetAccountDetail
    | AddAssetQuantity
    | SubtractAssetQuantity
    | OtherCommand
)


@dataclass(frozen=True, slots=True)
class BlockTransaction:
    """A committed transaction as a block holds it."""

    tx_hash: str
    creator: str
    created_time: int  # ms
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block: what it commits, what it rejects for ever, and how it is linked and signed."""

    height: int
    created_time: int  # ms
    prev_hash: str
    block_hash: str  # SHA3-256 of the serialised block payload
    transactions: tuple[BlockTransaction, ...]
    rejected: tuple[str, ...]
    signatures: tuple[tuple[str, str], ...]  # (public key hex, signature hex)
    payload: bytes = field(default=b"", repr=False)  # what is hashed and signed


@dataclass(frozen=True, slots=True)
class Reached:
    """A block by its place and hash; height 0 is before the first, an empty hash is unknown."""

    height: int
    block_hash: str = ""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A peer told a block that cannot be believed. An operator's matter; it is never settled.

    With `gone` no peer that answers has the last block in its place: this is not its ledger.
    """

    peer: str
    height: int
    why: str
    gone: bool = False


class Ledger(Protocol):
    """What the gateway needs of a ledger. Every call has a deadline; none retries for ever."""

    async def submit(self, transactions: Sequence[bytes], *, again: bool = False) -> None:
        """Hand signed transactions (whole batches together) to one healthy peer.

        Returns when a peer took the call; that says nothing about their validity. Bytes already
        known to the ledger are harmless. `again`: nothing came of sending them before, so another
        peer is given them, each batch by itself: a peer refuses a whole call for one transaction
        in it that is malformed. Raises `LedgerUnreachable`.
        """

    async def statuses(self, hashes: Sequence[str]) -> Sequence[TxStatus]:
        """One peer's word on each hash, in order. Raises `LedgerUnreachable`."""

    async def opinions(self, hashes: Sequence[str]) -> Sequence[Sequence[TxStatus]]:
        """Of each hash, in order, the words of every peer that answers in time.

        Raises `LedgerUnreachable` when none does.
        """

    def blocks(self, after: Reached) -> AsyncIterator[Block | Doubt]:
        """Every block above `after`, in order without gaps; then each new one, for ever.

        Each links to the one before it and is proved as far as peers' keys are pinned; what is
        not is told as a `Doubt`, and asked of the next peer. Survives cut streams and dead
        peers by itself; raises only `LedgerError`s that an operator may have to see:
        `QueryRefused` for a missing permission, `LedgerUnreachable` when for a minute or more no
        peer has given what it was asked for, though it may answer otherwise.
        """

    async def signatories(self, account_id: str) -> Sequence[str] | None:
        """The account's public keys, or None when the ledger knows no such account."""

    async def balances(self, account_id: str) -> Mapping[str, str]:
        """Decimal string by asset id; empty for an unknown account."""

    async def healthy(self) -> bool:
        """Did any peer answer within a second?"""

    async def close(self) -> None:
        """Close channels and streams."""
