"""A small bank on a real development ledger, driven over real gRPC by rounds held on request."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from decimal import Decimal
from hashlib import sha3_256
from pathlib import Path
from typing import Any

import grpc.aio

from ledger_client.genesis import Bank, Peer, genesis
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    Command,
    CreateAccount,
    GrantPermission,
    Signed,
    TransferAsset,
)
from ledger_client.proto import commands_pb2 as pb
from ledger_client.proto import endpoint_pb2, endpoint_pb2_grpc, queries_pb2
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import build, build_batch
from sim.ledger import LedgerServer, Settings, serve

NOON = 1_760_000_000_000
BY_HAND = Settings(block_ms=None, ursa=True)


def key(name: str, form: str = "raw") -> SigningKey:
    return SigningKey.from_seed(name.encode().ljust(32, b"."), form)


def peer_keys(peers: int) -> list[SigningKey]:
    return [key("peer"), *(key(f"peer {number}") for number in range(1, peers))]


def first_block(extra: Sequence[dict[str, Any]] = (), peers: int = 1) -> dict[str, Any]:
    roles = {name: key(f"{name}@bank").public_key for name in Bank.__slots__ if name != "domain"}
    there_are = [
        Peer(f"127.0.0.1:{10001 + number}", each.public_key)
        for number, each in enumerate(peer_keys(peers))
    ]
    block = genesis([Bank(domain="bank", **roles)], there_are, issuer=key("issuer@nbc").public_key)
    commands = block["block_v1"]["payload"]["transactions"][0]["payload"]["reducedPayload"]
    commands["commands"] += extra
    return block


class Town:
    """The bank's accounts, wallets as they are opened, and the first peer."""

    def __init__(self, server: LedgerServer, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.reach(channel)
        self.now = NOON
        self.keys: dict[str, SigningKey] = {}
        self._counter = 0

    def reach(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.commands = endpoint_pb2_grpc.CommandService_v1Stub(channel)
        self.queries = endpoint_pb2_grpc.QueryService_v1Stub(channel)

    @asynccontextmanager
    async def at(self, number: int) -> "AsyncIterator[Town]":
        """The same people, calling another peer."""
        async with grpc.aio.insecure_channel(self.server.peers[number].address) as channel:
            there = copy(self)
            there.reach(channel)
            yield there

    def key(self, account_id: str) -> SigningKey:
        return self.keys.get(account_id) or key(account_id)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def sign(self, creator: str, *commands: Command, **how: Any) -> Signed:
        signer = how.pop("key", None) or self.key(creator)
        at = how.pop("at", None) or self.tick()
        return build(creator, commands, at, key=signer, **how)

    def pay(
        self, src: str, dest: str, amount: str, asset: str = "khr#nbc", text: str = ""
    ) -> Signed:
        return self.sign(src, TransferAsset(src, dest, asset, amount, text))

    def wired(
        self, creator: str, *commands: pb.Command, signer: SigningKey | None = None
    ) -> Signed:
        """A transaction past the client's own rules."""
        tx = Transaction()
        reduced = tx.payload.reduced_payload
        reduced.commands.extend(commands)
        reduced.creator_account_id, reduced.created_time, reduced.quorum = creator, self.tick(), 1
        return self.resigned(tx, signer or creator)

    def resigned(self, tx: Transaction, *signers: str | SigningKey) -> Signed:
        """What the client would not build: a changed transaction, signed by whomever."""
        del tx.signatures[:]
        payload = tx.payload.SerializeToString()
        for signer in signers:
            own = self.key(signer) if isinstance(signer, str) else signer
            tx.signatures.add(public_key=own.public_key, signature=own.sign(payload).hex())
        reduced = tx.payload.reduced_payload
        return Signed(
            tx_hash=sha3_256(payload).hexdigest(),
            reduced_hash=sha3_256(reduced.SerializeToString()).hexdigest(),
            created_time=reduced.created_time,
            data=tx.SerializeToString(),
        )

    def opening(self, account_id: str, *, atomic: bool = True) -> list[Signed]:
        name, _, domain = account_id.partition("@")
        grants = [
            GrantPermission(f"recoverer@{domain}", right)
            for right in ("can_add_my_signatory", "can_remove_my_signatory")
        ]
        create = CreateAccount(name, domain, self.key(account_id).public_key)
        opener = f"opener@{domain}"
        return build_batch(
            [
                (opener, [create], self.tick(), self.key(opener)),
                (account_id, grants, self.tick(), self.key(account_id)),
            ],
            atomic=atomic,
        )

    async def send(self, *signed: Signed | Transaction) -> None:
        txs = [Transaction.FromString(it.data) if isinstance(it, Signed) else it for it in signed]
        await self.commands.ListTorii(endpoint_pb2.TxList(transactions=txs))

    async def settle(self, *signed: Signed) -> list[str]:
        """Send, hold one round, and tell what became of each."""
        await self.send(*signed)
        await self.server.round()
        return [await self.status(it) for it in signed]

    async def told(self, signed: Signed | str) -> endpoint_pb2.ToriiResponse:
        tx_hash = signed if isinstance(signed, str) else signed.tx_hash
        return await self.commands.Status(endpoint_pb2.TxStatusRequest(tx_hash=tx_hash))

    async def status(self, signed: Signed | str) -> str:
        return endpoint_pb2.TxStatus.Name((await self.told(signed)).tx_status)

    def stream(self, tx_hash: str) -> Any:
        return self.commands.StatusStream(endpoint_pb2.TxStatusRequest(tx_hash=tx_hash))

    async def people(self, *names: str, khr: str = "1000") -> None:
        """Open wallets and give each some riel."""
        for name in names:
            statuses = await self.settle(*self.opening(name), self.pay("treasury@bank", name, khr))
            assert set(statuses) == {"COMMITTED"}

    # Questions.

    def _meta(self, creator: str) -> queries_pb2.QueryPayloadMeta:
        self._counter += 1
        return queries_pb2.QueryPayloadMeta(
            created_time=self.now, creator_account_id=creator, query_counter=self._counter
        )

    def question(self, creator: str, signer: SigningKey | None = None, **kind: Any) -> Any:
        signer = signer or self.key(creator)
        query = queries_pb2.Query(
            payload=queries_pb2.Query.Payload(meta=self._meta(creator), **kind)
        )
        query.signature.public_key = signer.public_key
        query.signature.signature = signer.sign(query.payload.SerializeToString()).hex()
        return query

    async def ask(self, creator: str, signer: SigningKey | None = None, **kind: Any) -> Any:
        response = await self.queries.Find(self.question(creator, signer, **kind))
        return getattr(response, response.WhichOneof("response"))

    def follow(self, creator: str = "opener@bank") -> Any:
        query = queries_pb2.BlocksQuery(meta=self._meta(creator))
        signer = self.key(creator)
        query.signature.public_key = signer.public_key
        query.signature.signature = signer.sign(query.meta.SerializeToString()).hex()
        return self.queries.FetchCommits(query)

    async def block(self, height: int) -> Block:
        answer = await self.ask("opener@bank", get_block=queries_pb2.GetBlock(height=height))
        return answer.block

    async def holdings(self, account_id: str) -> dict[str, str]:
        asked = queries_pb2.GetAccountAssets(account_id=account_id)
        answer = await self.ask(account_id, get_account_assets=asked)
        return {it.asset_id: it.balance for it in answer.account_assets}

    async def riel(self, account_id: str) -> Decimal:
        return Decimal((await self.holdings(account_id)).get("khr#nbc", "0"))


@asynccontextmanager
async def town(
    folder: Path,
    settings: Settings = BY_HAND,
    *,
    extra: Sequence[dict[str, Any]] = (),
    since: Town | None = None,
    peers: int = 1,
) -> AsyncIterator[Town]:
    """Start peers on `folder` and a client; `since` is the town before a restart."""
    now = [since.now if since else NOON]
    server = await serve(
        folder,
        first_block(extra, peers),
        *peer_keys(peers),
        settings=settings,
        now_ms=lambda: place.now,
    )
    async with grpc.aio.insecure_channel(server.address) as channel:
        place = Town(server, channel)
        place.now = now[0]
        if since:
            place.keys = since.keys
        try:
            yield place
        finally:
            await server.stop()
