"""What the settled world and its blocks say, one method per kind of query.

Whoever asks has been recognised already (`queries`); here it is only asked whether they may know.
Each method is named after its field in the schema and answers with a whole response.
"""

import json
from itertools import islice
from typing import TypeVar

from ledger_client.proto import primitive_pb2 as may
from ledger_client.proto import qry_responses_pb2 as pb
from ledger_client.proto import queries_pb2 as ask
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from sim.ledger.amounts import shown
from sim.ledger.chain import Chain
from sim.ledger.pool import Batch
from sim.ledger.world import Account

NO_PERMISSION, BAD_HEIGHT, BAD_PAGE = 2, 3, 4

_Error = pb.ErrorResponse
K = TypeVar("K")
V = TypeVar("V")


class NoAnswer(Exception):
    """The question is refused, with the ledger's own reason and number."""

    def __init__(self, reason: pb.ErrorResponse.Reason, message: str = "", code: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code


class Answers:
    """One peer's answers."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def need(self, creator: Account, permission: int) -> None:
        if not self._chain.world.may(creator, permission):
            raise NoAnswer(_Error.STATEFUL_INVALID, "permission denied", NO_PERMISSION)

    def _need_about(self, creator: Account, account_id: str, what: str) -> None:
        """One's own, one's domain's or everybody's: whichever the creator may see."""
        scopes = ["all"]
        if account_id.partition("@")[2] == creator.domain:
            scopes.append("domain")
        if account_id == creator.account_id:
            scopes.append("my")
        everywhere = {"all": "s", "domain": "s", "my": ""} if what == "account" else {}
        for scope in scopes:
            name = f"can_get_{scope}_{what}{everywhere.get(scope, '')}"
            if self._chain.world.may(creator, may.RolePermission.Value(name)):
                return
        raise NoAnswer(_Error.STATEFUL_INVALID, "permission denied", NO_PERMISSION)

    # Accounts.

    def get_account(self, creator: Account, it: ask.GetAccount) -> pb.QueryResponse:
        """An account, its roles and its notes."""
        self._need_about(creator, it.account_id, "account")
        account = self._chain.world.accounts[it.account_id]
        if account is None:
            raise NoAnswer(_Error.NO_ACCOUNT, it.account_id)
        shape = pb.Account(
            account_id=account.account_id,
            domain_id=account.domain,
            quorum=account.quorum,
            json_data=json.dumps(account.details),
        )
        roles = sorted(account.roles)
        return pb.QueryResponse(
            account_response=pb.AccountResponse(account=shape, account_roles=roles)
        )

    def get_signatories(self, creator: Account, it: ask.GetSignatories) -> pb.QueryResponse:
        """The keys that may sign for an account."""
        self._need_about(creator, it.account_id, "signatories")
        account = self._chain.world.accounts[it.account_id]
        if account is None:
            raise NoAnswer(_Error.NO_SIGNATORIES, it.account_id)
        keys = pb.SignatoriesResponse(keys=sorted(account.signatories))
        return pb.QueryResponse(signatories_response=keys)

    def get_account_assets(self, creator: Account, it: ask.GetAccountAssets) -> pb.QueryResponse:
        """What an account holds; an unknown account holds nothing."""
        self._need_about(creator, it.account_id, "acc_ast")
        account = self._chain.world.accounts[it.account_id]
        held = sorted(account.balances.items()) if account else []
        response = pb.AccountAssetResponse(total_number=len(held))
        if it.HasField("pagination_meta"):
            page = it.pagination_meta
            first = page.first_asset_id if page.HasField("first_asset_id") else None
            held, following = _page(held, page.page_size, first)
            if following is not None:
                response.next_asset_id = following
        trailing_point = self._chain.settings.profile == "rocksdb"
        for asset_id, units in held:
            precision = self._chain.world.assets[asset_id] or 0
            balance = shown(units, precision, trailing_point=trailing_point)
            response.account_assets.add(
                account_id=it.account_id, asset_id=asset_id, balance=balance
            )
        return pb.QueryResponse(account_assets_response=response)

    def get_account_detail(self, creator: Account, it: ask.GetAccountDetail) -> pb.QueryResponse:
        """The notes on an account, all or by key and writer, in pages if asked."""
        account_id = it.account_id if it.HasField("account_id") else creator.account_id
        self._need_about(creator, account_id, "acc_detail")
        account = self._chain.world.accounts[account_id]
        if account is None:
            raise NoAnswer(_Error.NO_ACCOUNT_DETAIL, account_id)
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
        response.detail = json.dumps(told)
        return pb.QueryResponse(account_detail_response=response)

    # The ledger's own.

    def get_asset_info(self, creator: Account, it: ask.GetAssetInfo) -> pb.QueryResponse:
        """An asset and its number of decimals."""
        self.need(creator, may.can_read_assets)
        precision = self._chain.world.assets[it.asset_id]
        if precision is None:
            raise NoAnswer(_Error.NO_ASSET, it.asset_id)
        domain_id = it.asset_id.partition("#")[2]
        asset = pb.Asset(asset_id=it.asset_id, domain_id=domain_id, precision=precision)
        return pb.QueryResponse(asset_response=pb.AssetResponse(asset=asset))

    def get_roles(self, creator: Account, _: ask.GetRoles) -> pb.QueryResponse:
        """The names of all roles."""
        self.need(creator, may.can_get_roles)
        roles = self._chain.world.roles.all()
        return pb.QueryResponse(roles_response=pb.RolesResponse(roles=roles))

    def get_role_permissions(
        self, creator: Account, it: ask.GetRolePermissions
    ) -> pb.QueryResponse:
        """What a role allows."""
        self.need(creator, may.can_get_roles)
        held = self._chain.world.roles[it.role_id]
        if held is None:
            raise NoAnswer(_Error.NO_ROLES, it.role_id)
        allowed = [name for name, number in may.RolePermission.items() if held >> number & 1]
        response = pb.RolePermissionsResponse(permissions=allowed)
        return pb.QueryResponse(role_permissions_response=response)

    def get_peers(self, creator: Account, _: ask.GetPeers) -> pb.QueryResponse:
        """The peers and their keys."""
        self.need(creator, may.can_get_peers)
        response = pb.PeersResponse()
        for key, address in self._chain.world.peers.all().items():
            response.peers.add(address=address, peer_key=key)
        return pb.QueryResponse(peers_response=response)

    def get_block(self, creator: Account, it: ask.GetBlock) -> pb.QueryResponse:
        """The block at a height."""
        self.need(creator, may.can_get_blocks)
        if not it.height:
            raise NoAnswer(_Error.STATELESS_INVALID, "Height should be > 0, passed value: 0")
        stored = self._chain.store.block(it.height)
        if stored is None:
            said = f"block height {it.height} is above the top block's, {self._chain.height}"
            raise NoAnswer(_Error.STATEFUL_INVALID, said, BAD_HEIGHT)
        block = Block.FromString(stored)
        return pb.QueryResponse(block_response=pb.BlockResponse(block=block))

    # Transactions.

    def get_transactions(self, creator: Account, it: ask.GetTransactions) -> pb.QueryResponse:
        """Committed transactions by hash; one unknown hash fails the question."""
        everybodys = self._chain.world.may(creator, may.can_get_all_txs)
        if not everybodys:
            self.need(creator, may.can_get_my_txs)
        response = pb.TransactionsResponse()
        for tx_hash in it.tx_hashes:
            found = self._transaction(tx_hash)
            if found is None:
                said = f"no committed transaction has the hash {tx_hash}"
                raise NoAnswer(_Error.STATEFUL_INVALID, said, BAD_PAGE)
            author = found.payload.reduced_payload.creator_account_id
            if everybodys or author == creator.account_id:
                response.transactions.append(found)
        return pb.QueryResponse(transactions_response=response)

    def _transaction(self, tx_hash: str) -> Transaction | None:
        try:
            place = self._chain.store.place(tx_hash)
        except ValueError:
            return None
        if place is None or place.position is None:
            return None
        block = Block.FromString(self._chain.store.block(place.height) or b"")
        return block.block_v1.payload.transactions[place.position]

    def get_pending_transactions(
        self, creator: Account, it: ask.GetPendingTransactions
    ) -> pb.QueryResponse:
        """The creator's batches that still lack signatures, whole batches per page."""
        waiting = self._chain.pool.pending_of(creator.account_id)
        txs = [tx.proto for batch in waiting for tx in batch.txs]
        if not it.HasField("pagination_meta"):
            return pb.QueryResponse(transactions_response=pb.TransactionsResponse(transactions=txs))
        response = pb.PendingTransactionsPageResponse(all_transactions_size=len(txs))
        page = it.pagination_meta
        left = page.page_size
        for batch in _from(waiting, page.first_tx_hash if page.HasField("first_tx_hash") else None):
            if left < len(batch.txs):
                response.next_batch_info.first_tx_hash = batch.hashes[0]
                response.next_batch_info.batch_size = len(batch.txs)
                break
            left -= len(batch.txs)
            response.transactions.extend(tx.proto for tx in batch.txs)
        return pb.QueryResponse(pending_transactions_page_response=response)


def _from(waiting: list[Batch], first_tx_hash: str | None) -> list[Batch]:
    if first_tx_hash is None:
        return waiting
    for index, batch in enumerate(waiting):
        if batch.hashes[0] == first_tx_hash:
            return waiting[index:]
    raise NoAnswer(_Error.STATEFUL_INVALID, "no such first transaction", BAD_PAGE)


def _page(
    rows: list[tuple[K, V]], size: int, first: K | None
) -> tuple[list[tuple[K, V]], K | None]:
    """`size` rows from the one with key `first`, and the key that the next page begins with."""
    if not size:
        raise NoAnswer(_Error.STATELESS_INVALID, "Page size should be > 0, passed value: 0")
    start = 0
    if first is not None:
        found = next((index for index, (key, _) in enumerate(rows) if key == first), None)
        if found is None:
            raise NoAnswer(_Error.STATEFUL_INVALID, "no such first record", BAD_PAGE)
        start = found
    following = next(islice(rows, start + size, None), None)
    return rows[start : start + size], following[0] if following else None
