"""Which code is money, limit and PIN code, and which tests are its own. Named here and only here.

In: what decides whether and how much money moves, what reserves, settles or returns it, what reads
an amount or a PIN, what counts attempts, and what opens or replaces a key. Not in: what only shows
or tells of it (reads, receipts, menus), what only looks afterwards (audit, chain, reconciliation),
and what carries stored bytes (outbox, follower): a mistake there is caught by these, and by the
worlds.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = (
    # amounts, and what may be sent
    "gateway/desk/amounts.py",
    "menus/limits.py",
    "menus/kinds.py",
    "gateway/desk/limits.py",
    "gateway/desk/checks.py",
    "gateway/desk/books.py",
    # reserved, placed, settled
    "gateway/desk/locks.py",
    "gateway/desk/signing.py",
    "gateway/desk/changes.py",
    "gateway/desk/reservations.py",
    "gateway/desk/placing.py",
    "gateway/desk/transfers.py",
    "gateway/desk/settlement.py",
    "gateway/desk/endings.py",
    # what blocks say, also of rows that are lost
    "gateway/desk/blocks.py",
    "gateway/desk/rebuilding.py",
    "gateway/desk/rebuilding_wallets.py",
    # money that waits, goes back, or is asked back
    "gateway/desk/openings.py",
    "gateway/desk/making.py",
    "gateway/desk/unclaimed.py",
    "gateway/desk/returns.py",
    "gateway/desk/return_commits.py",
    "gateway/desk/disputable.py",
    "gateway/desk/dispute_rows.py",
    "gateway/desk/dispute_commits.py",
    "gateway/desk/disputes.py",
    # PINs and the keys that they open
    "menus/weak_pins.py",
    "gateway/desk/attempt_rows.py",
    "gateway/desk/attempts.py",
    "gateway/desk/spraying.py",
    "gateway/desk/pins.py",
    "gateway/desk/pin_change.py",
    "gateway/desk/keep.py",
    "gateway/desk/wallets.py",
    "gateway/desk/replacement.py",
    "gateway/desk/renewal.py",
    "gateway/desk/recovery.py",
    "gateway/desk/recovery_request.py",
    "gateway/vault.py",
)
# Tests within one process, so that what they reach is seen: not those of the development ledger.
# SQLite only, since PostgreSQL takes longer and runs the same lines.
TESTS = (
    "tests/desk",
    "tests/menus",
)
CHOSEN = "not postgres and not on_ledger"
