"""What blocks say of transactions: by hash, by account, and those that still lack signatures."""

from ledger_client.proto import primitive_pb2 as may
from ledger_client.proto import qry_responses_pb2 as pb
from ledger_client.proto import queries_pb2 as ask
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import hash_of
from sim.ledger.answering import BAD_PAGE, Answering, NoAnswer, Unreadable
from sim.ledger.histories import HistoryPage, NoSuchFirst, page_of
from sim.ledger.pool import Batch
from sim.ledger.store import Part
from sim.ledger.world import Account

_Error = pb.ErrorResponse


class TxAnswers(Answering):
    """Answers about transactions, one method per kind of query."""

    def get_transactions(self, creator: Account, it: ask.GetTransactions) -> pb.QueryResponse:
        """Committed transactions by hash; one unknown hash fails the question."""
        everybodys = self.chain.world.may(creator, may.can_get_all_txs)
        if not everybodys:
            self.need(creator, may.can_get_my_txs)
        response = pb.TransactionsResponse()
        for tx_hash in it.tx_hashes:
            place = self.chain.store.place(tx_hash)
            if place is None or place.position is None:
                if self.profile == "rocksdb":
                    raise Unreadable(tx_hash)
                said = f"no committed transaction has the hash {tx_hash}"
                raise NoAnswer(_Error.STATEFUL_INVALID, said, BAD_PAGE)
            found = self._transaction(place.height, place.position)
            author = found.payload.reduced_payload.creator_account_id
            if everybodys or author == creator.account_id:
                response.transactions.append(found)
        return pb.QueryResponse(transactions_response=response)

    def _transaction(self, height: int, position: int) -> Transaction:
        block = Block.FromString(self.chain.store.block(height) or b"")
        return block.block_v1.payload.transactions[position]

    def get_account_transactions(
        self, creator: Account, it: ask.GetAccountTransactions
    ) -> pb.QueryResponse:
        """What an account had a part in."""
        self.need_about(creator, it.account_id, "acc_txs")
        return self._history(it.account_id, it.pagination_meta)

    def get_account_asset_transactions(
        self, creator: Account, it: ask.GetAccountAssetTransactions
    ) -> pb.QueryResponse:
        """What moved an asset from or to an account."""
        self.need_about(creator, it.account_id, "acc_ast_txs")
        return self._history(it.account_id, it.pagination_meta, it.asset_id)

    def _history(
        self, account_id: str, meta: ask.TxPaginationMeta, asset_id: str | None = None
    ) -> pb.QueryResponse:
        parts = self.chain.store.parts(account_id)
        try:
            page = page_of(parts, meta, self._first(meta), self.profile, asset_id)
        except NoSuchFirst:
            raise NoAnswer(_Error.STATEFUL_INVALID, "no such first hash", BAD_PAGE) from None
        return pb.QueryResponse(transactions_page_response=self._told(page))

    def _first(self, meta: ask.TxPaginationMeta) -> Part | None:
        place = self.chain.store.place(meta.first_tx_hash)
        if place is None or place.position is None:
            return None
        return Part(place.height, place.position, 0, "")

    def _told(self, page: HistoryPage) -> pb.TransactionsPageResponse:
        response = pb.TransactionsPageResponse(
            transactions=[self._transaction(it.height, it.position) for it in page.parts],
            all_transactions_size=page.total,
        )
        if page.following:
            following = self._transaction(page.following.height, page.following.position)
            tx_hash = hash_of(following.payload)
            hex_of_hex = self.profile == "rocksdb"
            response.next_tx_hash = tx_hash.encode().hex() if hex_of_hex else tx_hash
        return response

    def get_pending_transactions(
        self, creator: Account, it: ask.GetPendingTransactions
    ) -> pb.QueryResponse:
        """The creator's batches that still lack signatures, whole batches per page."""
        waiting = self.peer.pool.pending_of(creator.account_id)
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
        if batch.hashes[0] == first_tx_hash.lower():
            return waiting[index:]
    raise NoAnswer(_Error.STATEFUL_INVALID, "no such first transaction", BAD_PAGE)
