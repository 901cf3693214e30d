"""A wallet made by receiving: somebody pays a number that has none.

Account, grants and the first payment are one atomic batch, stored in the payment's own commit: the
ledger takes all of it or nothing, so no wallet is made without money and none is paid that is not
there. The new key is sealed without a PIN (`vault`); nobody can spend it before the number dials
and chooses one. From then on `unclaimed` says whose the money is.

Making wallets costs the bank a row, an account and an SMS to a stranger, so a sender has only so
many made in a day. The day's count is not given back when one fails: it bounds tries.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from gateway.clock import Entropy
from gateway.desk.books import WalletRow
from gateway.desk.openings import Bank, Opening, Profile, store_openings
from gateway.desk.unclaimed import TIER, Terms
from gateway.stores.dialects import in_list, listed
from gateway.stores.tables import Wallet, table_of
from gateway.vault import Vault
from ledger_client.keys import SigningKey
from ledger_client.ledger import Signed
from ledger_client.transaction import Member, build_batch
from menus.kinds import Msisdn

_WALLET = table_of(Wallet)


class NumberTaken(Exception):
    """One of these numbers has got a wallet since it was looked for: nothing may be kept."""

    def __init__(self, number: str) -> None:
        super().__init__("a number has got a wallet meanwhile")
        self.number = Msisdn(number)


class Made(NamedTuple):
    """A wallet, and the payment that is signed into its batch."""

    opening: Opening
    payment: Signed


class Maker:
    """Draws wallets up for whom somebody pays."""

    def __init__(self, bank: Bank, vault: Vault, entropy: Entropy, terms: Terms) -> None:
        self._bank = bank
        self._vault = vault
        self._entropy = entropy
        self.terms = terms

    def draw_up(
        self, number: Msisdn, earlier: int, now_ms: int, pay: Callable[[str], Member]
    ) -> Made:
        """Make the key, seal it, sign for account and grants, and for what `pay`s the account."""
        account_id = self._bank.account_of(number, earlier)
        key = SigningKey.generate(self._entropy, self._bank.key_form)
        opening = self._bank.opening(account_id, key, now_ms, number=None)
        *signed, payment = build_batch([*opening, pay(account_id)])
        sealed = self._vault.seal_without_pin(account_id, 1, key.seed)
        profile = Profile(tier=TIER)
        drawn = Opening(
            account_id,
            number.e164,
            profile,
            key.public_key,
            sealed,
            signed,
            now_ms,
            claim="waiting",
        )
        return Made(drawn, payment)


def as_row(opening: Opening) -> WalletRow:
    """The wallet as `books` would read it once it is stored."""
    return WalletRow(
        opening.account_id,
        opening.number,
        opening.profile.name,
        opening.profile.tier,
        opening.profile.role,
        opening.profile.dollars,
        "opening",
        opening.sealed.key_version,
        opening.claim,
        signs=False,
    )


# ---- operations

_EARLIER = (
    select(_WALLET.c.msisdn, func.count())
    .where(_WALLET.c.msisdn.in_(select(listed("numbers").c.value)))
    .group_by(_WALLET.c.msisdn)
)


def wallets_before(connection: Connection, numbers: Sequence[str]) -> dict[str, int]:
    """How many wallets, closed ones too, each of these numbers has had with us."""
    rows = connection.execute(_EARLIER, {"numbers": in_list(numbers)})
    return {number: count for number, count in rows}  # noqa: C416 - rows are not pairs to mypy


def store_made(connection: Connection, openings: Sequence[Opening]) -> None:
    """Write wallets that payments make, all of them, or raise; `reserve` counts them."""
    for opening, stored in zip(openings, store_openings(connection, openings), strict=True):
        if not stored:
            raise NumberTaken(opening.number)
