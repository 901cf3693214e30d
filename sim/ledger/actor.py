"""Who acts on the world, and what is asked before anybody may.

An `Actor` is one creator on one layer of the world. In the genesis block nobody's permission is
asked. Nothing here changes the world but `put`.
"""

from dataclasses import dataclass

from sim.ledger.refusals import Profile, Refused, Why
from sim.ledger.world import EVERYTHING, Account, World


def need(condition: object, why: Why) -> None:
    """Raise `Refused` unless the condition holds."""
    if not condition:
        raise Refused(why)


@dataclass(frozen=True, slots=True)
class Actor:
    """One creator on one layer; a command that may not happen raises `Refused`."""

    world: World
    creator: str
    profile: Profile
    genesis: bool = False

    def held(self) -> int:
        """What the creator's roles allow."""
        creator = self.world.accounts[self.creator]
        if self.genesis:
            return EVERYTHING
        return self.world.permissions(creator) if creator else 0

    def holds(self, permission: int) -> bool:
        return bool(self.held() >> permission & 1)

    def granted(self, account_id: str, right: int) -> bool:
        """Did the owner of the account give the creator this right over it?"""
        owner = self.world.accounts[account_id]
        rights = owner.grants.get(self.creator, 0) if owner else 0
        return bool(rights >> right & 1)

    def allow(self, *permissions: int) -> None:
        """Any of these permissions is enough."""
        need(any(self.holds(it) for it in permissions), Why.NO_PERMISSION)

    def allow_over(self, account_id: str, permission: int, right: int) -> None:
        """Over one's own account a role decides, over another's what its owner granted."""
        if self.creator == account_id or self.genesis:
            self.allow(permission)
        else:
            enough = self.granted(account_id, right) or self.held() == EVERYTHING
            need(enough, Why.NO_PERMISSION)

    def allow_either(self, account_id: str, permission: int, right: int) -> None:
        """RocksDB takes role or grant for any account; PostgreSQL the role for one's own only."""
        if self.profile == "rocksdb":
            enough = self.holds(permission) or self.granted(account_id, right)
            need(enough, Why.NO_PERMISSION)
        elif not self.granted(account_id, right):
            self.allow_over(account_id, permission, right)

    def may_see(self, account_id: str, what: str) -> bool:
        return self.genesis or self.world.may_see(
            self.world.accounts[self.creator], account_id, what
        )

    def account(self, account_id: str, why: Why = Why.NO_ACCOUNT) -> Account:
        account = self.world.accounts[account_id]
        if account is None:
            raise Refused(why)
        return account

    def put(self, account: Account) -> None:
        self.world.accounts[account.account_id] = account
