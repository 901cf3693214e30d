"""Run by the independent client's own interpreter: knows PyPI's `iroha` and nothing of ours.

`sign` answers each line of JSON, a list of transactions to build and sign, with a line. `visit`
plays through a day on a ledger and prints what it saw.
"""

import json
import sys
from queue import Queue
from threading import Thread

import grpc
from iroha import Iroha, IrohaCrypto, IrohaGrpc, primitive_pb2, queries_pb2
from nacl.signing import SigningKey

FINAL = ("STATELESS_VALIDATION_FAILED", "REJECTED", "COMMITTED")
PATIENCE_S = 20


def key_of(told):
    seed = told["seed"]
    return seed if told["form"] == "raw" else SigningKey(bytes.fromhex(seed))


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def command(name, fields):
    if "permission" in fields:
        number = primitive_pb2.GrantablePermission.Value(fields["permission"])
        fields = {**fields, "permission": number}
    return Iroha.command(name, **fields)


def sign(members, batch):
    """Build each member, tie them if asked, sign each with its own key."""
    transactions = []
    for it in members:
        commands = [command(name, fields) for name, fields in it["commands"]]
        tx = Iroha(it["creator"]).transaction(
            commands, quorum=it["quorum"], created_time=it["created_time"]
        )
        transactions.append(tx)
    if batch:
        Iroha.batch(transactions, atomic=batch == "atomic")
    for tx, it in zip(transactions, members, strict=True):
        IrohaCrypto.sign_transaction(tx, key_of(it["key"]))
    return transactions


def signed(members, batch):
    return [
        {
            "tx_hash": IrohaCrypto.hash(tx).hex(),
            "reduced_hash": text(IrohaCrypto.reduced_hash(tx)),
            "public_key": tx.signatures[0].public_key,
            "signature": tx.signatures[0].signature,
            "bytes": tx.SerializeToString().hex(),
        }
        for tx in sign(members, batch)
    ]


class Visit:
    """One person's day: `wallet` is opened, paid, pays, is refused, and looks at its account."""

    def __init__(self, told):
        self.net = IrohaGrpc(told["address"], timeout=PATIENCE_S)
        self.keys = {account: key_of(key) for account, key in told["keys"].items()}
        self.wallet, self.chief = told["wallet"], told["chief"]
        self.counter = 0

    def tx(self, creator, *commands, **how):
        return Iroha(creator).transaction(list(commands), **how)

    def signed(self, tx):
        creator = tx.payload.reduced_payload.creator_account_id
        return IrohaCrypto.sign_transaction(tx, self.keys[creator])

    def pay(self, src, dest, amount):
        fields = {"src_account_id": src, "dest_account_id": dest, "asset_id": "khr#nbc"}
        return self.tx(src, Iroha.command("TransferAsset", amount=amount, **fields))

    def settle(self, *transactions):
        """Listen first, then send; the states of each until its final one, and its code."""
        streams = [self.net.tx_status_stream(tx) for tx in transactions]
        seen = [[next(stream)] for stream in streams]
        self.net.send_txs(transactions)
        for tx, stream, states in zip(transactions, streams, seen, strict=True):
            states.extend(stream)
            while states[-1][0] not in FINAL:  # a stream ends after some quiet rounds
                states.extend(self.net.tx_status_stream(tx))
        return [
            {"states": [name for name, _, _ in states], "code": max(it[2] for it in states)}
            for states in seen
        ]

    def ask(self, creator, name, **fields):
        self.counter += 1
        query = Iroha(creator).query(name, counter=self.counter, **fields)
        return self.net.send_query(IrohaCrypto.sign_query(query, self.keys[creator]))

    def open(self):
        name, domain = self.wallet.split("@")
        public_key = text(IrohaCrypto.derive_public_key(self.keys[self.wallet]))
        fields = {"account_name": name, "domain_id": domain, "public_key": public_key}
        right = primitive_pb2.can_add_my_signatory
        grant = Iroha.command("GrantPermission", account_id="recoverer@bank", permission=right)
        opening = [
            self.tx("opener@bank", Iroha.command("CreateAccount", **fields)),
            self.tx(self.wallet, grant),
        ]
        Iroha.batch(opening, atomic=False)
        return self.settle(*map(self.signed, opening))

    def money(self):
        treasury = "treasury@bank"
        gift = self.signed(self.pay(treasury, self.wallet, "1000"))
        spent = self.signed(self.pay(self.wallet, treasury, "400"))
        too_much = self.signed(self.pay(self.wallet, treasury, "601"))
        found = self.settle(gift) + self.settle(spent) + self.settle(too_much)
        again = self.settle(spent)
        pair = [self.pay(self.wallet, treasury, "1"), self.pay(self.wallet, treasury, "9999")]
        Iroha.batch(pair, atomic=True)
        forged = self.signed(self.pay(self.wallet, treasury, "1"))
        forged.signatures[0].signature = "ab" * 64
        self.net.send_tx(forged)
        return {
            "given, spent, too much": found,
            "again": again,
            "atomic": self.settle(*map(self.signed, pair)),
            "forged": self.net.tx_status(forged)[0],
            "spent": IrohaCrypto.hash(spent).hex(),
        }

    def questions(self, spent):
        assets = self.ask(self.wallet, "GetAccountAssets", account_id=self.wallet)
        keys = self.ask("opener@bank", "GetSignatories", account_id=self.wallet)
        account = self.ask("opener@bank", "GetAccount", account_id=self.wallet)
        first = self.ask(self.chief, "GetBlock", height=1).block_response.block.block_v1
        mine = {"account_id": self.wallet, "page_size": 1}
        page = self.ask(self.chief, "GetAccountTransactions", **mine).transactions_page_response
        newest = [[queries_pb2.kCreatedTime, queries_pb2.kDescending]]
        ordered = self.ask(
            self.chief, "GetAccountTransactions", ordering_sequence=newest, **mine
        ).transactions_page_response
        by_hash = self.ask(self.chief, "GetTransactions", tx_hashes=[spent]).transactions_response
        stranger = self.ask(self.wallet, "GetAccount", account_id=self.chief).error_response
        return {
            "assets": {
                it.asset_id: it.balance for it in assets.account_assets_response.account_assets
            },
            "keys": list(keys.signatories_response.keys),
            "roles": list(account.account_response.account_roles),
            "first block": [first.payload.height, len(first.payload.transactions)],
            "page": [len(page.transactions), bool(page.next_tx_hash)],
            "ordered": len(ordered.transactions),
            "by hash": [IrohaCrypto.hash(it).hex() for it in by_hash.transactions],
            "stranger": [stranger.reason, stranger.error_code],
            "unknown hash": self.unknown_hash(),
            "twice": self.twice(),
        }

    def unknown_hash(self):
        try:
            answer = self.ask(self.chief, "GetTransactions", tx_hashes=["ab" * 32])
        except grpc.RpcError as error:
            return error.code().name
        return [answer.error_response.reason, answer.error_response.error_code]

    def twice(self):
        query = Iroha(self.chief).query("GetRoles", counter=1)
        IrohaCrypto.sign_query(query, self.keys[self.chief])
        first, second = self.net.send_query(query), self.net.send_query(query)
        return [len(first.roles_response.roles) > 0, second.WhichOneof("response")]

    def follow(self):
        """A new block, as the stream tells it, with its signatures checked by the wheel."""
        query = Iroha("opener@bank").blocks_query()
        stream = self.net.send_blocks_stream_query(
            IrohaCrypto.sign_query(query, self.keys["opener@bank"])
        )
        heard = Queue()
        Thread(target=lambda: heard.put(next(stream)), daemon=True).start()
        while heard.empty():  # the stream stands some time after it is first read
            self.settle(self.signed(self.pay("treasury@bank", "settlement@bank", "1")))
        block = heard.get().block_response.block.block_v1
        return [IrohaCrypto.is_signature_valid(block, it) for it in block.signatures]

    def whole(self):
        opened, money = self.open(), self.money()
        spent = money.pop("spent")
        return {
            "opened": opened,
            "money": money,
            "questions": self.questions(spent),
            "followed": self.follow(),
            "spent": spent,
        }


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main():
    if sys.argv[1] == "sign":
        for line in sys.stdin:
            told = json.loads(line)
            say(signed(told["members"], told["batch"]))
    else:
        say(Visit(json.loads(sys.argv[2])).whole())


if __name__ == "__main__":
    main()
