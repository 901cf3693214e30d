"""What the settled world and its blocks say, one method per kind of query.

Whoever asks has been recognised already (`queries`); here it is only asked whether they may know.
Each method is named after its field in the schema and answers with a whole response.
"""

from collections.abc import Mapping
from itertools import islice
from typing import TypeVar

from ledger_client.proto import primitive_pb2 as may
from ledger_client.proto import qry_responses_pb2 as pb
from ledger_client.proto import queries_pb2 as ask
from sim.ledger.amounts import shown
from sim.ledger.answering import BAD_HEIGHT, BAD_PAGE, NoAnswer
from sim.ledger.tx_answers import TxAnswers
from sim.ledger.world import Account

_Error = pb.ErrorResponse
K = TypeVar("K")
V = TypeVar("V")


class Answers(TxAnswers):
    """All answers: about transactions, and here about accounts and the ledger itself."""

    # Accounts.

    def get_account(self, creator: Account, it: ask.GetAccount) -> pb.QueryResponse:
        """An account, its roles and its notes."""
        self.need_about(creator, it.account_id, "account")
        account = self.chain.world.accounts[it.account_id]
        if account is None:
            raise self.missing(_Error.NO_ACCOUNT, it.account_id)
        shape = pb.Account(
            account_id=account.account_id,
            domain_id=account.domain,
            quorum=account.quorum,
            json_data=_notes(account.details),
        )
        roles = sorted(account.roles)
        return pb.QueryResponse(
            account_response=pb.AccountResponse(account=shape, account_roles=roles)
        )

    def get_signatories(self, creator: Account, it: ask.GetSignatories) -> pb.QueryResponse:
        """The keys that may sign for an account."""
        self.need_about(creator, it.account_id, "signatories")
        account = self.chain.world.accounts[it.account_id]
        if account is None:
            raise NoAnswer(_Error.NO_SIGNATORIES, it.account_id)
        keys = pb.SignatoriesResponse(keys=sorted(account.signatories))
        return pb.QueryResponse(signatories_response=keys)

    def get_account_assets(self, creator: Account, it: ask.GetAccountAssets) -> pb.QueryResponse:
        """What an account holds; an unknown account holds nothing."""
        self.need_about(creator, it.account_id, "acc_ast")
        account = self.chain.world.accounts[it.account_id]
        held = sorted(account.balances.items()) if account else []
        response = pb.AccountAssetResponse(total_number=len(held))
        if it.HasField("pagination_meta"):
            page = it.pagination_meta
            first = page.first_asset_id if page.HasField("first_asset_id") else None
            held, following = _page(held, page.page_size, first)
            if following is not None:
                response.next_asset_id = following
        trailing_point = self.profile == "rocksdb"
        for asset_id, units in held:
            precision = self.chain.world.assets[asset_id] or 0
            balance = shown(units, precision, trailing_point=trailing_point)
            response.account_assets.add(
                account_id=it.account_id, asset_id=asset_id, balance=balance
            )
        return pb.QueryResponse(account_assets_response=response)

    def get_account_detail(self, creator: Account, it: ask.GetAccountDetail) -> pb.QueryResponse:
        """The notes on an account, all or by key and writer, in pages if asked."""
        account_id = it.account_id if it.HasField("account_id") else creator.account_id
        account = self.chain.world.accounts[account_id]
        if account is None and self.profile == "rocksdb":  # which looks before it asks who asks
            raise self.missing(_Error.NO_ACCOUNT_DETAIL, account_id)
        self.need_about(creator, account_id, "acc_detail")
        if account is None:
            raise self.missing(_Error.NO_ACCOUNT_DETAIL, account_id)
        notes = [
            ((writer, key), value)
            for writer, written in sorted(account.details.items())
            for key, value in sorted(written.items())
            if (not it.HasField("key") or key == it.key)
            and (not it.HasField("writer") or writer == it.writer)
        ]
        response = pb.AccountDetailResponse(total_number=len(notes))
        if it.HasField("pagination_meta"):
            page = it.pagination_meta
            record = page.first_record_id
            first = (record.writer, record.key) if page.HasField("first_record_id") else None
            notes, following = _page(notes, page.page_size, first)
            if following is not None:
                response.next_record_id.writer, response.next_record_id.key = following
        told: dict[str, dict[str, str]] = {}
        for (writer, key), value in notes:
            told.setdefault(writer, {})[key] = value
        response.detail = _notes(told)
        return pb.QueryResponse(account_detail_response=response)

    # The ledger's own.

    def get_asset_info(self, creator: Account, it: ask.GetAssetInfo) -> pb.QueryResponse:
        """An asset and its number of decimals."""
        self.need(creator, may.can_read_assets)
        precision = self.chain.world.assets[it.asset_id]
        if precision is None:
            raise self.missing(_Error.NO_ASSET, it.asset_id)
        domain_id = it.asset_id.partition("#")[2]
        asset = pb.Asset(asset_id=it.asset_id, domain_id=domain_id, precision=precision)
        return pb.QueryResponse(asset_response=pb.AssetResponse(asset=asset))

    def get_roles(self, creator: Account, _: ask.GetRoles) -> pb.QueryResponse:
        """The names of all roles."""
        self.need(creator, may.can_get_roles)
        roles = self.chain.world.roles.all()
        return pb.QueryResponse(roles_response=pb.RolesResponse(roles=roles))

    def get_role_permissions(
        self, creator: Account, it: ask.GetRolePermissions
    ) -> pb.QueryResponse:
        """What a role allows."""
        self.need(creator, may.can_get_roles)
        held = self.chain.world.roles[it.role_id]
        if held is None:
            rocksdb = self.profile == "rocksdb"
            raise self.missing(_Error.STATEFUL_INVALID if rocksdb else _Error.NO_ROLES, it.role_id)
        allowed = [name for name, number in may.RolePermission.items() if held >> number & 1]
        response = pb.RolePermissionsResponse(permissions=allowed)
        return pb.QueryResponse(role_permissions_response=response)

    def get_peers(self, creator: Account, _: ask.GetPeers) -> pb.QueryResponse:
        """The peers and their keys."""
        self.need(creator, may.can_get_peers)
        response = pb.PeersResponse()
        for key, address in self.chain.world.peers.all().items():
            response.peers.add(address=address, peer_key=key)
        return pb.QueryResponse(peers_response=response)

    def get_block(self, creator: Account, it: ask.GetBlock) -> pb.QueryResponse:
        """The block at a height."""
        self.need(creator, may.can_get_blocks)
        block = self.peer.block(it.height)
        if block is None:
            said = f"block height {it.height} is above the top block's, {self.peer.height}"
            raise NoAnswer(_Error.STATEFUL_INVALID, said, BAD_HEIGHT)
        return pb.QueryResponse(block_response=pb.BlockResponse(block=block))


def _notes(details: Mapping[str, Mapping[str, str]]) -> str:
    """Notes as JSON, but for values: those are taken as they were written, never escaped."""
    told = (
        f'"{writer}": {{' + ", ".join(f'"{key}": "{value}"' for key, value in notes.items()) + "}"
        for writer, notes in details.items()
    )
    return "{" + ", ".join(told) + "}"


def _page(
    rows: list[tuple[K, V]], size: int, first: K | None
) -> tuple[list[tuple[K, V]], K | None]:
    """`size` rows from the one with key `first`, and the key that the next page begins with."""
    start = 0
    if first is not None:
        found = next((index for index, (key, _) in enumerate(rows) if key == first), None)
        if found is None:
            raise NoAnswer(_Error.STATEFUL_INVALID, "no such first record", BAD_PAGE)
        start = found
    following = next(islice(rows, start + size, None), None)
    return rows[start : start + size], following[0] if following else None
