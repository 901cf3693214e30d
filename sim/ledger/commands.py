"""What each command does to the world.

The order of the checks is RocksDB's: it decides which reason is told when several apply. A few
rights are wider with that backend than with PostgreSQL; both are kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ledger_client.proto import commands_pb2 as pb
from ledger_client.proto import primitive_pb2 as may
from sim.ledger.actor import Actor, need
from sim.ledger.amounts import LIMIT, TooPrecise, smallest_units
from sim.ledger.refusals import Refused, Why
from sim.ledger.world import ALL, ROOT, Account

_GRANTED_BY = {
    right: may.RolePermission.Value(f"can_grant_{name}")
    for name, right in may.GrantablePermission.items()
}


def _with(mapping: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    return {**mapping, key: value}


class Act(Actor):
    """One creator's commands on one layer."""

    __slots__ = ()

    def do(self, command: pb.Command) -> None:
        """Carry out one command or raise `Refused`."""
        name = command.WhichOneof("command")
        act = _ACTS.get(name or "")
        if act is None:
            raise Refused(Why.NOT_IMPLEMENTED)
        act(self, getattr(command, str(name)))

    # Money.

    def transfer_asset(self, it: pb.TransferAsset) -> None:
        """Move an amount from one account to another."""
        dest = self.account(it.dest_account_id, Why.NO_DESTINATION)
        self.account(it.src_account_id)
        if not self.genesis:
            need(self.world.may(dest, may.can_receive), Why.NO_PERMISSION)
        self.allow_over(it.src_account_id, may.can_transfer, may.can_transfer_my_assets)
        precision = self.world.assets[it.asset_id]
        if precision is None:
            raise Refused(Why.NO_SUCH_ASSET)
        longest = self.world.settings["MaxDescriptionSize"]
        if longest is not None:
            need(len(it.description.encode()) <= int(longest), Why.DESCRIPTION_TOO_LONG)
        self._take(it.src_account_id, it.asset_id, it.amount, precision)
        units = smallest_units(it.amount, precision)
        dest = self.account(it.dest_account_id)  # again: it may be the source
        total = dest.balances.get(it.asset_id, 0) + units
        need(total < LIMIT, Why.BALANCE_OVERFLOW)
        self.put(dest.holding(it.asset_id, total))

    def _take(self, account_id: str, asset_id: str, amount: str, precision: int) -> None:
        source = self.account(account_id)
        balance = source.balances.get(asset_id)
        if balance is None:
            raise Refused(Why.HOLDS_NONE)
        try:
            units = smallest_units(amount, precision)
        except TooPrecise:
            raise Refused(Why.TOO_PRECISE) from None
        need(units <= balance, Why.NOT_ENOUGH)
        self.put(source.holding(asset_id, balance - units))

    def _allow_supply(self, asset_id: str, anywhere: int, own_domain: int) -> None:
        same_domain = self.creator.partition("@")[2] == asset_id.partition("#")[2]
        self.allow(anywhere, *[own_domain] if same_domain else [])

    def add_asset_quantity(self, it: pb.AddAssetQuantity) -> None:
        """Mint into the creator's own account."""
        self._allow_supply(it.asset_id, may.can_add_asset_qty, may.can_add_domain_asset_qty)
        precision = self.world.assets[it.asset_id]
        if precision is None:
            raise Refused(Why.MINT_UNKNOWN_ASSET)
        account = self.account(self.creator)
        try:
            units = smallest_units(it.amount, precision)
        except TooPrecise:
            raise Refused(Why.MINT_TOO_PRECISE) from None
        total = account.balances.get(it.asset_id, 0) + units
        need(total < LIMIT, Why.MINT_OVERFLOW)
        self.put(account.holding(it.asset_id, total))

    def subtract_asset_quantity(self, it: pb.SubtractAssetQuantity) -> None:
        """Burn from the creator's own account."""
        self._allow_supply(
            it.asset_id, may.can_subtract_asset_qty, may.can_subtract_domain_asset_qty
        )
        precision = self.world.assets[it.asset_id]
        if precision is None:
            raise Refused(Why.BURN_UNKNOWN_ASSET)
        try:
            self._take(self.creator, it.asset_id, it.amount, precision)
        except Refused as refusal:
            too_precise = refusal.why is Why.TOO_PRECISE
            raise Refused(Why.BURN_TOO_PRECISE if too_precise else Why.BURN_TOO_MUCH) from refusal

    # Accounts and their keys.

    def create_account(self, it: pb.CreateAccount) -> None:
        """A new account with its domain's default role; its maker must hold all that role holds."""
        account_id = f"{it.account_name}@{it.domain_id}"
        self.allow(may.can_create_account)
        role = self.world.domains[it.domain_id]
        if role is None:
            raise Refused(Why.NO_DOMAIN)
        need(not (self.world.roles[role] or 0) & ~self.held(), Why.NO_PERMISSION)
        need(self.world.accounts[account_id] is None, Why.ACCOUNT_EXISTS)
        key = it.public_key.lower()
        self.put(Account(account_id, signatories=frozenset({key}), roles=frozenset({role})))

    def add_signatory(self, it: pb.AddSignatory) -> None:
        """One more key that may sign for an account."""
        self.allow_over(it.account_id, may.can_add_signatory, may.can_add_my_signatory)
        account = self.account(it.account_id)
        key = it.public_key.lower()
        need(key not in account.signatories, Why.SIGNATORY_EXISTS)
        self.put(replace(account, signatories=account.signatories | {key}))

    def remove_signatory(self, it: pb.RemoveSignatory) -> None:
        """One key fewer, as long as the rest can still make the quorum."""
        account = self.account(it.account_id)
        self.allow_over(it.account_id, may.can_remove_signatory, may.can_remove_my_signatory)
        key = it.public_key.lower()
        need(key in account.signatories, Why.NO_SIGNATORY)
        need(len(account.signatories) > account.quorum, Why.QUORUM_OUT_OF_REACH)
        self.put(replace(account, signatories=account.signatories - {key}))

    def set_account_quorum(self, it: pb.SetAccountQuorum) -> None:
        """How many of an account's keys must sign."""
        account = self.account(it.account_id)
        self.allow_either(it.account_id, may.can_set_quorum, may.can_set_my_quorum)
        need(it.quorum <= len(account.signatories), Why.QUORUM_OUT_OF_REACH)
        self.put(replace(account, quorum=it.quorum))

    def set_account_detail(self, it: pb.SetAccountDetail) -> None:
        """Write a note on an account; each writer has its own."""
        self._allow_note(it.account_id)
        self._write(self.account(it.account_id), it.key, it.value)

    def _allow_note(self, account_id: str) -> None:
        mine = self.creator == account_id
        if not mine and not self.granted(account_id, may.can_set_my_account_detail):
            self.allow(may.can_set_detail)

    def compare_and_set_account_detail(self, it: pb.CompareAndSetAccountDetail) -> None:
        """Write a note if the writer's former one is as expected."""
        if self.profile == "rocksdb":
            own, right = may.can_get_my_acc_detail, may.can_set_my_account_detail
            self.allow_either(it.account_id, own, right)
        else:
            need(self.may_see(it.account_id, "acc_detail"), Why.NO_PERMISSION)
            self._allow_note(it.account_id)
        account = self.account(it.account_id)
        present = account.details.get(self.creator or "genesis", {}).get(it.key)
        expected = it.old_value if it.HasField("old_value") else None
        if present is None:
            need(not it.check_empty or expected is None, Why.OLD_VALUE_DIFFERS)
        else:
            need(present == expected, Why.OLD_VALUE_DIFFERS)
        self._write(account, it.key, it.value)

    def _write(self, account: Account, key: str, value: str) -> None:
        writer = self.creator or "genesis"
        notes = _with(account.details.get(writer, {}), key, value)
        self.put(replace(account, details=_with(account.details, writer, notes)))

    # Who may do what.

    def grant_permission(self, it: pb.GrantPermission) -> None:
        """Give another account a right over the creator's own."""
        self.allow(_GRANTED_BY[it.permission])
        self.account(it.account_id)
        owner = self.account(self.creator)
        granted = owner.grants.get(it.account_id, 0)
        need(not granted >> it.permission & 1, Why.GRANTED_ALREADY)
        granted |= 1 << it.permission
        self.put(replace(owner, grants=_with(owner.grants, it.account_id, granted)))

    def revoke_permission(self, it: pb.RevokePermission) -> None:
        """Take it back, which needs no permission."""
        self.account(it.account_id)
        owner = self.account(self.creator)
        granted = owner.grants.get(it.account_id, 0)
        need(granted >> it.permission & 1, Why.NOT_GRANTED)
        granted &= ~(1 << it.permission)
        self.put(replace(owner, grants=_with(owner.grants, it.account_id, granted)))

    def create_role(self, it: pb.CreateRole) -> None:
        """A named set of permissions, none beyond its maker's own."""
        permissions = 0
        for permission in it.permissions:
            permissions |= 1 << permission
        if permissions & ROOT:
            permissions = ALL
        self.allow(may.can_create_role)
        need(not permissions & ~self.held(), Why.NO_PERMISSION)
        need(self.world.roles[it.role_name] is None, Why.ROLE_EXISTS)
        self.world.roles[it.role_name] = permissions

    def append_role(self, it: pb.AppendRole) -> None:
        """Give an account a role, none beyond the giver's own permissions."""
        self.allow(may.can_append_role)
        permissions = self.world.roles[it.role_name]
        if permissions is None:
            raise Refused(Why.NO_ROLE)
        need(not permissions & ~self.held(), Why.NO_PERMISSION)
        account = self.account(it.account_id)
        need(it.role_name not in account.roles, Why.ROLE_HELD_ALREADY)
        self.put(replace(account, roles=account.roles | {it.role_name}))

    def detach_role(self, it: pb.DetachRole) -> None:
        """Take a role from an account."""
        self.allow(may.can_detach_role)
        need(self.world.roles[it.role_name] is not None, Why.NO_ROLE_TO_DETACH)
        account = self.account(it.account_id)
        need(it.role_name in account.roles, Why.ROLE_NOT_HELD)
        self.put(replace(account, roles=account.roles - {it.role_name}))

    # The ledger's own furniture.

    def create_domain(self, it: pb.CreateDomain) -> None:
        """A name space for accounts and assets."""
        self.allow(may.can_create_domain)
        need(self.world.domains[it.domain_id] is None, Why.DOMAIN_EXISTS)
        need(self.world.roles[it.default_role] is not None, Why.NO_DEFAULT_ROLE)
        self.world.domains[it.domain_id] = it.default_role

    def create_asset(self, it: pb.CreateAsset) -> None:
        """A currency, with its number of decimals."""
        asset_id = f"{it.asset_name}#{it.domain_id}"
        self.allow(may.can_create_asset)
        need(self.world.assets[asset_id] is None, Why.ASSET_EXISTS)
        need(self.world.domains[it.domain_id] is not None, Why.NO_DOMAIN)
        self.world.assets[asset_id] = it.precision

    def add_peer(self, it: pb.AddPeer) -> None:
        """One more peer: from the next block on it takes part, or is missed where none runs."""
        self.allow(may.can_add_peer)
        key = it.peer.peer_key.lower()
        need(self.world.peers[key] is None, Why.PEER_EXISTS)
        self.world.peers[key] = it.peer.address

    def remove_peer(self, it: pb.RemovePeer) -> None:
        """One peer fewer from the next block on, never the last."""
        self.allow(may.can_add_peer, may.can_remove_peer)
        need(self.world.peers[it.public_key.lower()] is not None, Why.NO_PEER)
        need(len(self.world.peers.all()) > 1, Why.LAST_PEER)
        self.world.peers[it.public_key.lower()] = None

    def set_setting_value(self, it: pb.SetSettingValue) -> None:
        """The genesis block's alone."""
        need(self.genesis, Why.NO_PERMISSION)
        self.world.settings[it.key] = it.value


_ACTS: dict[str, Callable[[Act, Any], None]] = {
    field.name: getattr(Act, field.name)
    for field in pb.Command.DESCRIPTOR.fields
    if hasattr(Act, field.name)
}
