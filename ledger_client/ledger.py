"""The ledger as the gateway sees it: one protocol, its values, and what an outcome means.

Nothing here knows gRPC, Iroha's messages or keys; `iroha1.py` implements this against a real
network. Amounts are decimal strings as on the ledger, times are milliseconds since 1970 UTC,
hashes are lower-case hex.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
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
    """What is known of a transaction hash."""

    UNKNOWN = "unknown"  # NOT_RECEIVED: proves nothing (facts: a peer's queue is memory)
    PENDING = "pending"  # seen, no final state yet
    INVALID = "invalid"  # stateless failure: never enters a block; time may heal some reasons
    REJECTED = "rejected"  # in a block as rejected; this hash can never commit
    COMMITTED = "committed"  # in a block


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
        """Can no peer ever say otherwise?"""
        return self.verdict in (Verdict.COMMITTED, Verdict.REJECTED)

    @property
    def may_still_commit(self) -> bool:
        """Must a reservation for it stay?"""
        return self.verdict is not Verdict.REJECTED


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
    signatures: tuple[tuple[str, str], ...]  # (public key hex, signature hex), not yet checked here


class Ledger(Protocol):
    """What the gateway needs of a ledger. Every call has a deadline; none retries for ever."""

    async def submit(self, transactions: Sequence[bytes]) -> None:
        """Hand signed transactions (whole batches together) to one healthy peer.

        Returns when a peer took the call; that says nothing about their validity. Bytes already
        known to the ledger are harmless. Raises `LedgerUnreachable`.
        """

    async def statuses(self, hashes: Sequence[str]) -> Sequence[TxStatus]:
        """One peer's word on each hash, in order. Raises `LedgerUnreachable`."""

    def blocks(self, after: int) -> AsyncIterator[Block]:
        """Every block above height `after`, in order without gaps; then each new one, for ever.

        Survives cut streams and dead peers by itself; raises only `LedgerError`s that an
        operator must see (`QueryRefused` for a missing permission).
        """

    async def signatories(self, account_id: str) -> Sequence[str] | None:
        """The account's public keys, or None when the ledger knows no such account."""

    async def balances(self, account_id: str) -> Mapping[str, str]:
        """Decimal string by asset id; empty for an unknown account."""

    async def healthy(self) -> bool:
        """Did any peer answer within a second?"""

    async def close(self) -> None:
        """Close channels and streams."""
