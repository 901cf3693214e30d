"""What the ledger knows: accounts and what they hold, roles, domains, assets, settings.

The world is layered. A transaction is tried on a layer above its block's, and the block's lies
above the settled world; a layer that failed is dropped, one that succeeded is absorbed below. So
readers see only what is on disk, and a block's top layer is exactly what must be written.

Nothing here knows rules, signatures or storage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ledger_client.proto import primitive_pb2

V = TypeVar("V")

ROOT = 1 << primitive_pb2.root
ALL = sum(1 << number for number in primitive_pb2.RolePermission.values())
EVERYTHING = (1 << 64) - 1


def _seeing() -> dict[tuple[str, str], int]:
    """Permission by scope and subject, of all named `can_get_<scope>_<subject>`."""
    found = {}
    for name, number in primitive_pb2.RolePermission.items():
        if name.startswith(("can_get_all_", "can_get_domain_", "can_get_my_")):
            scope, _, what = name.removeprefix("can_get_").partition("_")
            found[scope, what.replace("accounts", "account")] = number
    return found


_SEEING = _seeing()


@dataclass(frozen=True, slots=True)
class Account:
    """One account. Keys are lower-case hex; balances count the asset's smallest unit."""

    account_id: str
    signatories: frozenset[str]
    quorum: int = 1
    roles: frozenset[str] = frozenset()
    balances: Mapping[str, int] = field(default_factory=dict)
    grants: Mapping[str, int] = field(default_factory=dict)  # to whom: which rights over this one
    details: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # writer: key: value

    @property
    def domain(self) -> str:
        return self.account_id.partition("@")[2]

    def holding(self, asset_id: str, units: int) -> "Account":
        """The same with another balance; `replace` would take three times as long."""
        return Account(
            self.account_id,
            self.signatories,
            self.quorum,
            self.roles,
            {**self.balances, asset_id: units},
            self.grants,
            self.details,
        )


class Shelf(Generic[V]):
    """One kind of record by id; what this layer does not hold is asked of the layer below."""

    __slots__ = ("below", "own")

    def __init__(self, below: "Shelf[V] | None" = None) -> None:
        self.below = below
        self.own: dict[str, V | None] = {}  # None: taken away

    def __getitem__(self, key: str) -> V | None:
        shelf = self
        while key not in shelf.own:  # no recursion: a transfer looks a dozen things up
            if shelf.below is None:
                return shelf.fetch(key)
            shelf = shelf.below
        return shelf.own[key]

    def fetch(self, _: str) -> V | None:
        """What no layer holds: nothing, unless it lies on disk."""
        return None

    def __setitem__(self, key: str, value: V | None) -> None:
        self.own[key] = value

    def all(self) -> dict[str, V]:
        """Every record, this layer's over those below, in order of id."""
        below: Mapping[str, V] = self.below.all() if self.below else {}
        merged: dict[str, V | None] = {**below, **self.own}
        return {key: value for key in sorted(merged) if (value := merged[key]) is not None}


class World:
    """One layer of everything the ledger knows."""

    __slots__ = ("accounts", "assets", "domains", "peers", "roles", "settings")

    def __init__(self, below: "World | None" = None) -> None:
        self.accounts: Shelf[Account] = Shelf(below.accounts if below else None)
        self.domains: Shelf[str] = Shelf(below.domains if below else None)  # its default role
        self.assets: Shelf[int] = Shelf(below.assets if below else None)  # its precision
        self.roles: Shelf[int] = Shelf(
            below.roles if below else None
        )  # its permissions, one bit each
        self.peers: Shelf[str] = Shelf(below.peers if below else None)  # address by public key
        self.settings: Shelf[str] = Shelf(below.settings if below else None)

    def above(self) -> "World":
        """A layer to try something on."""
        return World(self)

    def absorb(self, layer: "World") -> None:
        """Take over what a layer above this one changed."""
        self.accounts.own.update(layer.accounts.own)
        self.domains.own.update(layer.domains.own)
        self.assets.own.update(layer.assets.own)
        self.roles.own.update(layer.roles.own)
        self.peers.own.update(layer.peers.own)
        self.settings.own.update(layer.settings.own)

    def permissions(self, account: Account) -> int:
        """The union of its roles' permissions; root has them all."""
        held = 0
        for role in account.roles:
            held |= self.roles[role] or 0
        return EVERYTHING if held & ROOT else held

    def may(self, account: Account | None, permission: int) -> bool:
        """Does a role of this account hold the permission?"""
        return account is not None and bool(self.permissions(account) >> permission & 1)

    def may_see(self, asker: Account | None, account_id: str, what: str) -> bool:
        """May one ask for `what`, e.g. "acc_ast", of this account: one's own, domain's, or all?"""
        if asker is None:
            return False
        scopes = ["all"]
        scopes += ["domain"] if account_id.partition("@")[2] == asker.domain else []
        scopes += ["my"] if account_id == asker.account_id else []
        held = self.permissions(asker)
        return any(held >> _SEEING[scope, what] & 1 for scope in scopes)
