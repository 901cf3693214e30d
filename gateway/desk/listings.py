"""Numbers whose wallets other banks keep: each bank's opener publishes its own on the ledger.

The form, which any member bank may write and read: `opener@<bank>` sets a detail on its own
account for each number it serves; the key is the number's digits ("85512345678"), the value the
account that holds its wallet ("85512345678_2@<bank>"), or "-" once it serves the number no longer.
A bank lists accounts of its own domain only; whatever else is written there is not looked at.

Listings are read from blocks, in the commit that settles them, so that looking a number up asks
nobody. What is shown of another bank is the name that our operator gave it, never its own words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sqlalchemy import Connection, bindparam, delete, select

from gateway.stores.dialects import Prepared, in_list, listed, upsert
from gateway.stores.tables import Listing, table_of
from ledger_client.ledger import Block, SetAccountDetail
from menus.bank_accounts import BankAccount, MemberBank
from menus.kinds import Msisdn, PaidTo

OPENER: Final = "opener@"
SETTLEMENT: Final = "settlement@"  # takes what is for the accounts of its bank's customers
GONE: Final = "-"
NAME_MOST: Final = 16  # of a bank, on a page
_LISTING = table_of(Listing)
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}")
_ACCOUNT: Final = re.compile(r"[a-z_0-9]{1,32}@[A-Za-z0-9.\-]{1,255}")

Listed = tuple[str, str]
"""A number in E.164, and the account of another bank that holds a wallet of it."""


class Paid(Protocol):
    """What a payment's row says of whom it was for."""

    @property
    def dest_account(self) -> str: ...
    @property
    def dest_msisdn(self) -> str: ...
    @property
    def beneficiary(self) -> str | None:
        """The number of the bank account, if it was for one."""


@dataclass(frozen=True, slots=True)
class Banks:
    """The member banks as people are told of them; ours is `own`."""

    own: str = "bank"
    own_name: str = "Bakong"
    names: Mapping[str, str] = field(default_factory=dict)  # by domain

    def name(self, account_id: str) -> str:
        """The bank that keeps an account: its name if we know one, else its domain."""
        domain = account_id.partition("@")[2]
        name = self.own_name if domain == self.own else self.names.get(domain, domain)
        return name[:NAME_MOST]

    def elsewhere(self, account_id: str) -> str:
        """The same, but empty for an account of our own bank."""
        return "" if account_id.endswith(f"@{self.own}") else self.name(account_id)

    def takes(self, account: BankAccount) -> bool:
        """Does its bank take money for it? Only of banks that our operator named is that known."""
        return account.bank.domain in self.names

    def paid(self, row: Paid) -> PaidTo:
        """Whom it was for: a number, or an account at a bank."""
        if not row.beneficiary:
            return Msisdn(row.dest_msisdn)
        domain = row.dest_account.removeprefix(SETTLEMENT)
        return BankAccount(MemberBank(domain, self.name(row.dest_account)), row.beneficiary)


def published(opener_id: str, number: str, account_id: str) -> SetAccountDetail:
    """What the opener writes to list the wallet of a number."""
    return SetAccountDetail(opener_id, number.removeprefix("+"), account_id)


def take(connection: Connection, block: Block, own: str) -> None:
    """Keep what this block lists of other banks' wallets, and forget what it withdraws."""
    told = dict(_told(block, own))
    gone = [key for key, account_id in told.items() if account_id == GONE]
    rows = [
        {"msisdn": number, "bank": bank, "account_id": account_id}
        for (number, bank), account_id in sorted(told.items())
        if account_id != GONE
    ]
    if rows:
        upsert(connection, Listing, rows, update=["account_id"])
    if gone:
        at = (_LISTING.c.msisdn == bindparam("b_number"), _LISTING.c.bank == bindparam("b_bank"))
        asked = [{"b_number": number, "b_bank": bank} for number, bank in gone]
        connection.execute(delete(_LISTING).where(*at), asked)


def _told(block: Block, own: str) -> Iterator[tuple[tuple[str, str], str]]:
    for transaction in block.transactions:
        bank = transaction.creator.removeprefix(OPENER)
        if bank in (transaction.creator, own):
            continue
        for command in transaction.commands:
            if not isinstance(command, SetAccountDetail):
                continue
            if command.account_id != transaction.creator or not _DIGITS.fullmatch(command.key):
                continue
            value = command.value
            theirs = _ACCOUNT.fullmatch(value) and value.endswith(f"@{bank}")
            if theirs or value == GONE:
                yield (f"+{command.key}", bank), value


_OF_NUMBERS = Prepared(
    select(_LISTING.c.msisdn, _LISTING.c.account_id)
    .where(_LISTING.c.msisdn.in_(select(listed("numbers").c.value)))
    .order_by(_LISTING.c.msisdn, _LISTING.c.bank)
)
_OF_ACCOUNTS = Prepared(
    select(_LISTING.c.msisdn, _LISTING.c.account_id).where(
        _LISTING.c.account_id.in_(select(listed("accounts").c.value))
    )
)


def of_numbers(connection: Connection, numbers: Iterable[str]) -> list[Listed]:
    """Where else these numbers have wallets, bank by bank."""
    return _pairs(_OF_NUMBERS.rows(connection, {"numbers": in_list(numbers)}))


def of_accounts(connection: Connection, accounts: Iterable[str]) -> list[Listed]:
    """Whose wallets these accounts of other banks hold."""
    return _pairs(_OF_ACCOUNTS.rows(connection, {"accounts": in_list(accounts)}))


def _pairs(rows: Sequence[Any]) -> list[Listed]:
    return [(number, account_id) for number, account_id in rows]
