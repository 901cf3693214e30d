"""One peer, asked directly: for looking at a network, not for living with it.

`Iroha1` asks whichever peer answers, and expects a network as it should be. Here every peer is
asked by itself, each question has a deadline, and a refusal is an answer too: some of what a peer
never tells shows in what it refuses (`ahead_of_us`, `takes`).

Raises `LedgerUnreachable` when the peer does not answer, and `QueryRefused` when it will not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from ledger_client.charter import permission_names
from ledger_client.keys import KeyForm, SigningKey
from ledger_client.ledger import QueryRefused
from ledger_client.peers import Peer, Peers, PeerTrouble
from ledger_client.proto import block_pb2, qry_responses_pb2
from ledger_client.proto import queries_pb2 as ask
from ledger_client.queries import Questions, answer
from ledger_client.trust import GENESIS_HEIGHT

FUTURE_MOST_MS: Final = 5 * 60_000
"""What is dated further ahead of a peer's clock is refused unseen."""

_CLOCKS_APART_MOST_MS: Final = 12 * 3_600_000  # half of how far back a date may lie
_CLOCK_PRECISION_MS: Final = 500
_UNSEEN: Final = "STATELESS_INVALID"
_NO_PERMISSION: Final = ("STATEFUL_INVALID", 2)
_NO_SUCH_SIGNER: Final = ("STATEFUL_INVALID", 3)  # or no such height


def lacks_permission(refusal: QueryRefused) -> bool:
    """Is the asker known, but may not know this?"""
    return (refusal.reason, refusal.code) == _NO_PERMISSION


def knows_no_signer(refusal: QueryRefused) -> bool:
    """Does the asker not exist, or have another key?"""
    return (refusal.reason, refusal.code) == _NO_SUCH_SIGNER


@dataclass(frozen=True, slots=True)
class Health:
    """What a peer says of itself; `height` may be that of a block to come."""

    healthy: bool
    syncing: bool
    height: int


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """An account, but for its keys and money."""

    quorum: int
    roles: frozenset[str]


class Asking:
    """Questions to the peer at `address`, in the name of `account_id`."""

    def __init__(
        self,
        address: str,
        account_id: str,
        key: SigningKey,
        *,
        tls_ca: bytes | None,
        deadline_s: float,
        now_ms: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.address = address
        self.encrypted = tls_ca is not None
        self.clock_ahead_ms = 0  # set it, and questions are dated by the peer's clock
        self._peer = Peers([address], tls_ca=tls_ca)
        self._deadline_s = deadline_s
        self._now_ms = now_ms
        self._entropy = entropy
        self._account_id = account_id
        self._questions = self._asked_by(key)

    async def close(self) -> None:
        await self._peer.close()

    # What it tells.

    async def health(self) -> Health:
        """Ask how it is."""
        told = await self._peer.ask(self._health)
        unwell = told.HasField("is_healthy") and not told.is_healthy
        return Health(not unwell, told.is_syncing, told.last_block_height)

    async def block(self, height: int) -> block_pb2.Block | None:
        """The block of a height, or None when the peer is not that high."""
        try:
            reply = await self._find(get_block=ask.GetBlock(height=height))
        except QueryRefused as refusal:
            if height > GENESIS_HEIGHT and knows_no_signer(refusal):  # the first is always there
                return None
            raise
        return reply.block_response.block

    async def account(self, account_id: str) -> AccountSeen | None:
        """An account, or None when there is none."""
        reply = await self._find_any(get_account=ask.GetAccount(account_id=account_id))
        if reply is None:
            return None
        told = reply.account_response
        return AccountSeen(told.account.quorum, frozenset(told.account_roles))

    async def signatories(self, account_id: str) -> frozenset[str]:
        """An account's keys, in lower case; none when there is no such account."""
        reply = await self._find_any(get_signatories=ask.GetSignatories(account_id=account_id))
        keys = reply.signatories_response.keys if reply else ()
        return frozenset(key.lower() for key in keys)

    async def precision(self, asset_id: str) -> int | None:
        """An asset's decimals, or None when there is no such asset."""
        reply = await self._find_any(get_asset_info=ask.GetAssetInfo(asset_id=asset_id))
        return reply.asset_response.asset.precision if reply else None

    async def permissions(self, role: str) -> frozenset[str] | None:
        """What a role allows, or None when there is no such role."""
        question = ask.GetRolePermissions(role_id=role)
        reply = await self._find_any(get_role_permissions=question)
        return permission_names(reply.role_permissions_response.permissions) if reply else None

    async def peer_keys(self) -> frozenset[str]:
        """The keys with which the network's peers sign blocks, in lower case."""
        peers = (await self._find(get_peers=ask.GetPeers())).peers_response.peers
        return frozenset(peer.peer_key.lower() for peer in peers if not peer.syncing_peer)

    # What shows in its answers.

    async def height(self, hint: int) -> int:
        """How many blocks it has. Found by asking for blocks, from `hint` on: no answer tells."""
        low, high, step = GENESIS_HEIGHT, 0, 1
        place = max(hint, GENESIS_HEIGHT)
        while high - low != 1:
            if await self.block(place) is None:
                high = place
            else:
                low = place
            place = max((low + high) // 2, high - step) if high else low + step
            step *= 2
        return low

    async def ahead_of_us(self) -> int | None:
        """How far its clock is ahead of ours, in milliseconds; None when too far to be found.

        A query that is dated too far ahead is refused unseen; up to which date it is taken tells
        the time there. Nobody needs to be known to the ledger for that.
        """
        stranger = self._stranger("raw")
        low = FUTURE_MOST_MS - _CLOCKS_APART_MOST_MS
        high = FUTURE_MOST_MS + _CLOCKS_APART_MOST_MS
        if not await self._is_seen(stranger, low) or await self._is_seen(stranger, high):
            return None
        while high - low > _CLOCK_PRECISION_MS:
            middle = (low + high) // 2
            if await self._is_seen(stranger, middle):
                low = middle
            else:
                high = middle
        return (low + high) // 2 - FUTURE_MOST_MS

    async def takes(self, form: KeyForm) -> bool:
        """Does it verify signatures by keys of this form? A stock irohad takes raw ones only."""
        return await self._is_seen(self._stranger(form), self.clock_ahead_ms)

    async def _is_seen(self, questions: Questions, ahead_ms: int) -> bool:
        """Is a question of this date and by this key looked at, whatever comes of it?"""
        query = questions.dated(self._now_ms() + ahead_ms, get_peers=ask.GetPeers())
        try:
            await self._peer.ask(partial(answer, query=query, deadline_s=self._deadline_s))
        except QueryRefused as refusal:
            return refusal.reason != _UNSEEN
        return True

    def _stranger(self, form: KeyForm) -> Questions:
        return self._asked_by(SigningKey.generate(self._entropy, form))

    def _asked_by(self, key: SigningKey) -> Questions:
        return Questions(self._account_id, key, self._now_ms, self._entropy)

    async def _find(self, **question: Message) -> qry_responses_pb2.QueryResponse:
        query = self._questions.dated(self._now_ms() + self.clock_ahead_ms, **question)
        return await self._peer.ask(partial(answer, query=query, deadline_s=self._deadline_s))

    async def _find_any(self, **question: Message) -> qry_responses_pb2.QueryResponse | None:
        """None when there is no such thing; every kind of thing has a reason of its own."""
        try:
            return await self._find(**question)
        except QueryRefused as refusal:
            unheard = refusal.reason == _UNSEEN or knows_no_signer(refusal)
            if unheard or lacks_permission(refusal):
                raise
            return None

    async def _health(self, peer: Peer) -> qry_responses_pb2.HealthcheckData:
        try:
            told = await peer.healthcheck(Empty(), timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            # A peer of before 1.5 has no such method, and says so: it answers.
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return qry_responses_pb2.HealthcheckData()
            raise
        if told is None:
            raise PeerTrouble("unreadable reply")
        return told
