"""A client that shares no code with ours: the same bytes from it, and the same ledger for it."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wheel_home import interpreter

from ledger_client.genesis import Bank, Peer, genesis
from ledger_client.keys import SigningKey
from ledger_client.ledger import (
    AddAssetQuantity,
    AddSignatory,
    CreateAccount,
    GrantPermission,
    RemoveSignatory,
    SetAccountDetail,
    SubtractAssetQuantity,
    TransferAsset,
)
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.transaction import build, build_batch
from sim.ledger import Settings, serve

SCRIPT = str(Path(__file__).with_name("wheel_client.py"))
WALLET, CHIEF = "85512345678@bank", "issuer@nbc"
ROOT_FOR_CHIEF = [
    {"createRole": {"roleName": "chief", "permissions": ["root"]}},
    {"appendRole": {"accountId": CHIEF, "roleName": "chief"}},
]
PATIENCE_S = 120


@pytest.fixture(scope="session")
def wheel() -> str:
    return interpreter()


# ---- the same bytes

seeds = st.binary(min_size=32, max_size=32)
keys = st.builds(SigningKey, seeds, st.sampled_from(["raw", "multihash"]))
names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=32)
domains = st.from_regex(r"[a-zA-Z]([a-zA-Z0-9\-]{0,20}[a-zA-Z0-9])?", fullmatch=True)
accounts = st.builds("{}@{}".format, names, domains)
assets = st.builds("{}#{}".format, names, domains.filter(lambda it: it != "nbc"))
amounts = st.from_regex(r"[1-9][0-9]{0,30}(\.[0-9]{1,18})?", fullmatch=True)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=16)
public_keys = keys.map(lambda it: it.public_key)
rights = st.sampled_from(["can_add_my_signatory", "can_remove_my_signatory", "can_set_my_quorum"])

commands = st.one_of(
    st.builds(TransferAsset, accounts, accounts, assets, amounts, words).filter(
        lambda it: it.src != it.dest
    ),
    st.builds(CreateAccount, names, domains, public_keys),
    st.builds(AddSignatory, accounts, public_keys),
    st.builds(RemoveSignatory, accounts, public_keys),
    st.builds(GrantPermission, accounts, rights),
    st.builds(SetAccountDetail, accounts, names, words),
    st.builds(AddAssetQuantity, assets, amounts, words),
    st.builds(SubtractAssetQuantity, assets, amounts, words),
)
members = st.tuples(
    accounts,
    st.lists(commands, min_size=1, max_size=4),
    st.integers(1_000_000_000_000, 100_000_000_000_000),
    keys,
)


@pytest.fixture(scope="session")
def other(wheel: str) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [wheel, SCRIPT, "sign"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()
        process.wait(timeout=30)


def theirs(other: subprocess.Popen, asked, *, quorum=1, batch=None):
    told = [
        {
            "creator": creator,
            "commands": [_spelled(it) for it in commands],
            "created_time": created_time,
            "quorum": quorum,
            "key": {"seed": key.seed.hex(), "form": key.form},
        }
        for creator, commands, created_time, key in asked
    ]
    other.stdin.write(json.dumps({"members": told, "batch": batch}) + "\n")
    other.stdin.flush()
    answer = other.stdout.readline()
    assert answer, "the independent client has died"
    return json.loads(answer)


def _spelled(command) -> tuple[str, dict[str, str]]:
    other_names = {"src": "src_account_id", "dest": "dest_account_id"}
    fields = {other_names.get(name, name): value for name, value in asdict(command).items()}
    return type(command).__name__, {name: value for name, value in fields.items() if value}


def ours(signed):
    (signature,) = Transaction.FromString(signed.data).signatures
    return {
        "tx_hash": signed.tx_hash,
        "reduced_hash": signed.reduced_hash,
        "public_key": signature.public_key,
        "signature": signature.signature,
        "bytes": signed.data.hex(),
    }


@settings(max_examples=100)
@given(member=members, quorum=st.integers(1, 128))
def test_every_hash_signature_and_byte_is_the_same(other, member, quorum):
    creator, commands, created_time, key = member
    signed = build(creator, commands, created_time, key=key, quorum=quorum)
    assert [ours(signed)] == theirs(other, [member], quorum=quorum)


@settings(max_examples=40)
@given(
    several=st.lists(members, min_size=2, max_size=4, unique_by=lambda it: it[2]),
    atomic=st.booleans(),
)
def test_batches_are_the_same_too(other, several, atomic):
    batch = build_batch(several, atomic=atomic)
    found = theirs(other, several, batch="atomic" if atomic else "ordered")
    assert [ours(it) for it in batch] == found


# ---- the same ledger


def known(name: str, form: str = "raw") -> SigningKey:
    return SigningKey.from_seed(name.encode().ljust(32, b"."), form)


def first_block():
    named = {name: known(f"{name}@bank").public_key for name in Bank.__slots__ if name != "domain"}
    peer = Peer("127.0.0.1:10001", known("peer").public_key)
    block = genesis([Bank(domain="bank", **named)], [peer], issuer=known(CHIEF).public_key)
    first = block["block_v1"]["payload"]["transactions"][0]
    first["payload"]["reducedPayload"]["commands"] += ROOT_FOR_CHIEF
    return block


@pytest.mark.parametrize("profile", ["rocksdb", "postgres"])
@pytest.mark.parametrize("form", ["raw", "multihash"])
async def test_it_lives_on_our_ledger_as_on_any(wheel, tmp_path, form, profile):
    how = Settings(block_ms=20, ursa=True, profile=profile)
    server = await serve(tmp_path, first_block(), known("peer"), settings=how)
    try:
        saw = await visit(wheel, server.address, form)
        wallet = server.chain.world.accounts[WALLET]
    finally:
        await server.stop()
    trailing = "." if profile == "rocksdb" else ""

    assert [it["states"][-1] for it in saw["opened"]] == ["COMMITTED"] * 2
    given, spent, too_much = saw["money"]["given, spent, too much"]
    assert (given["states"][0], given["states"][-1]) == ("NOT_RECEIVED", "COMMITTED")
    assert spent["states"][-1] == "COMMITTED"
    assert too_much["states"][-2:] == ["STATEFUL_VALIDATION_FAILED", "REJECTED"]
    assert too_much["code"] == 6
    assert saw["money"]["again"] == [{"states": ["COMMITTED"], "code": 0}]
    assert [it["states"][-1] for it in saw["money"]["atomic"]] == ["REJECTED"] * 2
    assert saw["money"]["forged"] == "STATELESS_VALIDATION_FAILED"

    asked = saw["questions"]
    assert asked["assets"] == {"khr#nbc": f"600{trailing}"}
    assert asked["keys"] == [known(WALLET, form).public_key]
    assert asked["roles"] == ["wallet"]
    assert asked["first block"] == [1, 2]
    assert asked["page"] == [1, True]
    assert asked["ordered"] == 1
    assert asked["by hash"] == [saw["spent"]]
    assert asked["stranger"] == [1, 2]
    assert asked["unknown hash"] == ("INTERNAL" if profile == "rocksdb" else [1, 4])
    assert asked["twice"] == [True, "error_response"]
    assert saw["followed"] == [True]
    assert wallet.balances == {"khr#nbc": 600}


async def visit(wheel: str, address: str, form: str):
    accounts = dict.fromkeys(("opener@bank", "treasury@bank", CHIEF), "raw") | {WALLET: form}
    told = {
        "address": address,
        "wallet": WALLET,
        "chief": CHIEF,
        "keys": {
            account: {"seed": known(account).seed.hex(), "form": of}
            for account, of in accounts.items()
        },
    }
    process = await asyncio.create_subprocess_exec(
        wheel, SCRIPT, "visit", json.dumps(told),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, complaint.decode()
    return json.loads(said)
