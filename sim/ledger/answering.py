"""What every answer starts from: a peer, permissions, and the ways to say no."""

from ledger_client.proto import qry_responses_pb2 as pb
from sim.ledger.peer import Peer
from sim.ledger.world import Account

NO_PERMISSION, BAD_HEIGHT, BAD_PAGE = 2, 3, 4
_MISSING = {"rocksdb": 3, "postgres": 0}  # the number beside "there is no such thing"

_Error = pb.ErrorResponse


class NoAnswer(Exception):
    """The question is refused, with the ledger's own reason and number."""

    def __init__(self, reason: pb.ErrorResponse.Reason, message: str = "", code: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code


class Unreadable(Exception):
    """RocksDB's answer about an unknown hash: it has the hash's raw bytes where text belongs."""

    def __init__(self, tx_hash: str) -> None:
        super().__init__(tx_hash)
        self.tx_hash = bytes.fromhex(tx_hash)


class Answering:
    """One peer's answers, without any yet."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.chain = peer.chain
        self.profile = peer.chain.settings.profile

    def need(self, creator: Account, permission: int) -> None:
        if not self.chain.world.may(creator, permission):
            raise NoAnswer(_Error.STATEFUL_INVALID, "permission denied", NO_PERMISSION)

    def need_about(self, creator: Account, account_id: str, what: str) -> None:
        """Whoever may see neither all accounts nor this one's domain may see their own at most."""
        if not self.chain.world.may_see(creator, account_id, what):
            raise NoAnswer(_Error.STATEFUL_INVALID, "permission denied", NO_PERMISSION)

    def missing(self, reason: pb.ErrorResponse.Reason, what: str) -> NoAnswer:
        return NoAnswer(reason, f"no such thing: {what}", _MISSING[self.profile])
