"""Why a command fails, with the numbers each of Iroha's two storage backends gives for it.

The numbers differ by backend without a plan behind it, which is why a client must not lean on
them; the ledger speaks either dialect so that this can be tested.
"""

from enum import Enum
from typing import Literal

Profile = Literal["rocksdb", "postgres"]


class Why(Enum):
    """A reason; its value is its own number, then the code of RocksDB, then of PostgreSQL."""

    WRONG_SIGNER = (0, 1, 2)
    NO_PERMISSION = (1, 2, 2)
    NO_ACCOUNT = (2, 3, 3)
    NO_DESTINATION = (3, 3, 4)
    NO_SUCH_ASSET = (4, 3, 5)
    HOLDS_NONE = (5, 3, 6)
    NOT_ENOUGH = (6, 6, 6)
    TOO_PRECISE = (7, 6, 5)
    BALANCE_OVERFLOW = (8, 7, 7)
    DESCRIPTION_TOO_LONG = (9, 1009, 8)
    MINT_UNKNOWN_ASSET = (10, 3, 3)
    MINT_OVERFLOW = (11, 4, 4)
    BURN_UNKNOWN_ASSET = (12, 3, 3)
    BURN_TOO_MUCH = (13, 3, 4)
    ACCOUNT_EXISTS = (14, 4, 4)
    NO_DOMAIN = (15, 3, 3)
    SIGNATORY_EXISTS = (16, 3, 4)
    NO_SIGNATORY = (17, 4, 4)
    QUORUM_OUT_OF_REACH = (18, 5, 5)
    GRANTED_ALREADY = (19, 1007, 1)
    NOT_GRANTED = (20, 2, 2)
    OLD_VALUE_DIFFERS = (21, 4, 4)
    ROLE_EXISTS = (22, 3, 3)
    NO_ROLE = (23, 3, 4)
    ROLE_HELD_ALREADY = (24, 4, 1)
    ROLE_NOT_HELD = (25, 3, 4)
    DOMAIN_EXISTS = (26, 4, 3)
    NO_DEFAULT_ROLE = (27, 3, 4)
    ASSET_EXISTS = (28, 4, 4)
    PEER_EXISTS = (29, 4, 3)
    NO_PEER = (30, 3, 3)
    LAST_PEER = (31, 4, 4)
    NOT_IMPLEMENTED = (32, 1005, 1)
    NO_CREATOR = (33, 3, 2)
    MINT_TOO_PRECISE = (34, 4, 3)
    BURN_TOO_PRECISE = (35, 3, 3)
    NO_ROLE_TO_DETACH = (36, 3, 5)

    def code(self, profile: Profile) -> int:
        """The number a peer with this backend answers."""
        return self.value[1 if profile == "rocksdb" else 2]


class Refused(Exception):
    """A command the world does not allow."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.name)
        self.why = why
