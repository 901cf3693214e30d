"""Transactions: the rules before signing, the bytes and hashes after, and the way back."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_client.keys import SigningKey, verify
from ledger_client.ledger import (
    AddAssetQuantity,
    AddSignatory,
    CreateAccount,
    GrantPermission,
    InvalidTransaction,
    OtherCommand,
    RemoveSignatory,
    SetAccountDetail,
    SubtractAssetQuantity,
    TransferAsset,
)
from ledger_client.proto import commands_pb2
from ledger_client.proto.endpoint_pb2 import TxList
from ledger_client.proto.primitive_pb2 import GrantablePermission
from ledger_client.proto.transaction_pb2 import Transaction
from ledger_client.submission import calls
from ledger_client.transaction import SigningFailed, build, build_batch, commands_of

KEY = SigningKey.from_seed(b"\x01" * 32)
URSA_KEY = SigningKey.from_seed(b"\x02" * 32, "multihash")
AT = 1_700_000_000_000
GOLDEN_TRANSFER = TransferAsset("alice@bank", "bob@bank", "khr#cbdc", "4000", "ref1")


def transfer(**changes: str) -> TransferAsset:
    fields = {"src": "a@bank", "dest": "b@bank", "asset_id": "khr#nbc", "amount": "5000"}
    return TransferAsset(**(fields | changes))


def parsed(signed) -> Transaction:
    return Transaction.FromString(signed.data)


# --- the bytes -------------------------------------------------------------------------------


def test_the_golden_transaction_has_the_bytes_and_the_hash_seen_on_a_real_peer():
    signed = build("alice@bank", [GOLDEN_TRANSFER], AT, key=KEY)
    assert signed.tx_hash == "0d71b954daaa9ff1b941aa3547ca38d00d08301af5ebb8003e079283df2cb789"
    assert parsed(signed).payload.SerializeToString().hex() == (
        "0a460a2f82012c0a0a616c6963654062616e6b1208626f624062616e6b1a086b687223636264632204726566"
        "312a0434303030120a616c6963654062616e6b1880d095ffbc312001"
    )
    assert signed.created_time == AT


@pytest.mark.parametrize("key", [KEY, URSA_KEY], ids=["raw", "multihash"])
def test_the_one_signature_is_the_keys_over_the_payload(key):
    transaction = parsed(build("a@bank", [transfer()], AT, key=key))
    (signature,) = transaction.signatures
    assert signature.public_key == key.public_key
    payload = transaction.payload.SerializeToString()
    assert verify(key.public_key, payload, bytes.fromhex(signature.signature))


def test_the_hash_is_the_same_whoever_signs():
    one, other = (build("a@bank", [transfer()], AT, key=key) for key in (KEY, URSA_KEY))
    assert one.tx_hash == other.tx_hash
    assert one.data != other.data


def test_building_again_gives_the_same_bytes():
    one, again = (build("a@bank", [transfer()], AT, key=KEY) for _ in range(2))
    assert one == again


def test_a_reference_in_the_description_keeps_two_payments_of_one_millisecond_apart():
    hashes = {
        build("a@bank", [transfer(description=ref)], AT, key=KEY).tx_hash for ref in ("", "1", "2")
    }
    assert len(hashes) == 3


def test_quorum_is_written():
    signed = build("a@bank", [transfer()], AT, key=KEY, quorum=2)
    assert parsed(signed).payload.reduced_payload.quorum == 2


def test_a_signature_that_does_not_verify_never_leaves():
    class Faulty:
        public_key = KEY.public_key

        def sign(self, payload: bytes) -> bytes:
            return KEY.sign(payload + b" flipped bit")

    with pytest.raises(SigningFailed):
        build("a@bank", [transfer()], AT, key=Faulty())


# --- the way back ----------------------------------------------------------------------------

NAMES = st.text(string.ascii_lowercase + string.digits + "_", min_size=1, max_size=32)
LABELS = st.text(string.ascii_letters, min_size=1, max_size=20)
DOMAINS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ACCOUNTS = st.builds("{}@{}".format, NAMES, DOMAINS)
ASSETS = st.builds("{}#{}".format, NAMES, DOMAINS)
AMOUNTS = st.builds(
    "{}{}".format,
    st.integers(1, 10**30),
    st.just("") | st.text(string.digits, min_size=1, max_size=8).map(".{}".format),
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=16)
KEYS = st.sampled_from([KEY.public_key, URSA_KEY.public_key])
GRANTS = st.sampled_from(list(GrantablePermission.keys()))
COMMANDS = st.one_of(
    st.builds(TransferAsset, ACCOUNTS, ACCOUNTS, ASSETS, AMOUNTS, TEXTS).filter(
        lambda command: command.src != command.dest
    ),
    st.builds(CreateAccount, NAMES, DOMAINS, KEYS),
    st.builds(AddSignatory, ACCOUNTS, KEYS),
    st.builds(RemoveSignatory, ACCOUNTS, KEYS),
    st.builds(GrantPermission, ACCOUNTS, GRANTS),
    st.builds(SetAccountDetail, ACCOUNTS, NAMES, TEXTS),
    st.builds(AddAssetQuantity, ASSETS, AMOUNTS, TEXTS),
    st.builds(SubtractAssetQuantity, ASSETS, AMOUNTS, TEXTS),
)


@given(st.lists(COMMANDS, min_size=1, max_size=4), ACCOUNTS)
def test_what_was_built_is_read_back_equal(commands, creator):
    signed = build(creator, commands, AT, key=URSA_KEY)
    assert commands_of(parsed(signed)) == tuple(commands)


def test_a_command_this_project_never_sends_is_read_by_its_name():
    transaction = Transaction()
    commands = transaction.payload.reduced_payload.commands
    commands.append(commands_pb2.Command(create_domain=commands_pb2.CreateDomain(domain_id="x")))
    commands.append(commands_pb2.Command())
    assert commands_of(transaction) == (OtherCommand("create_domain"), OtherCommand("unknown"))


# --- batches ---------------------------------------------------------------------------------


def opening():
    wallet = SigningKey.from_seed(b"\x03" * 32)
    grants = [
        GrantPermission("recoverer@bank", "can_add_my_signatory"),
        GrantPermission("recoverer@bank", "can_remove_my_signatory"),
    ]
    return [
        ("opener@bank", [CreateAccount("85512345678", "bank", wallet.public_key)], AT, KEY),
        ("85512345678@bank", grants, AT, wallet),
    ]


@pytest.mark.parametrize(("atomic", "kind"), [(True, 0), (False, 1)])
def test_every_member_of_a_batch_names_all_in_order(atomic, kind):
    batch = build_batch(opening(), atomic=atomic)
    for signed in batch:
        meta = parsed(signed).payload.batch
        assert meta.type == kind
        assert list(meta.reduced_hashes) == [member.reduced_hash for member in batch]
    assert [parsed(signed).signatures[0].public_key for signed in batch] == [
        member[3].public_key for member in opening()
    ]


def test_a_batch_needs_two_different_transactions():
    with pytest.raises(InvalidTransaction, match="batch: at least 2"):
        build_batch(opening()[:1])
    with pytest.raises(InvalidTransaction, match="no two equal"):
        build_batch([opening()[0]] * 2)


# --- the rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (transfer(amount="0"), "amount"),
        (transfer(amount="0.00", asset_id="usd#nbc"), "amount"),
        (transfer(amount="-5"), "amount"),
        (transfer(amount=""), "amount"),
        (transfer(amount=".5"), "amount"),
        (transfer(amount="5."), "amount"),
        (transfer(amount="1e3"), "amount"),
        (transfer(amount="5,000"), "amount"),
        (transfer(amount="១០"), "amount"),
        (transfer(amount="5\n"), "amount"),
        (transfer(amount=str(2**256)), "amount"),
        (transfer(amount="5000.5"), "amount: khr#nbc has 0 decimals"),
        (transfer(amount="5000.0"), "amount: khr#nbc has 0 decimals"),
        (transfer(amount="1.005", asset_id="usd#nbc"), "amount: usd#nbc has 2 decimals"),
        (transfer(asset_id="khr"), "asset_id"),
        (transfer(asset_id="KHR#nbc"), "asset_id"),
        (transfer(src="+85512345678@bank"), "src"),
        (transfer(src="a"), "src"),
        (transfer(dest=f"{'a' * 33}@bank"), "dest"),
        (transfer(dest="b@bank-"), "dest"),
        (transfer(dest="b@1bank"), "dest"),
        (transfer(dest="b@bank\n"), "dest"),
        (transfer(dest="a@bank"), "dest: another account"),
        (transfer(description="a" * 65), "description: at most 64 bytes"),
        (transfer(description="ក" * 22), "description: at most 64 bytes"),
        (transfer(description="\ud800"), "description: valid Unicode"),
        (AddAssetQuantity("usd#nbc", "1.001"), "amount"),
        (SubtractAssetQuantity("usd#nbc", "0"), "amount"),
        (CreateAccount("Sok", "bank", KEY.public_key), "account_name"),
        (CreateAccount("", "bank", KEY.public_key), "account_name"),
        (CreateAccount("sok", "bank..kh", KEY.public_key), "domain_id"),
        (CreateAccount("sok", "bank", ""), "public_key"),
        (AddSignatory("a@bank", "00" * 32), "public_key"),
        (RemoveSignatory("a@bank", KEY.public_key[:-2]), "public_key"),
        (RemoveSignatory("bank", KEY.public_key), "account_id"),
        (GrantPermission("a", "can_add_my_signatory"), "account_id"),
        (GrantPermission("a@bank", "can_fly"), "can_fly"),
        (SetAccountDetail("a@bank", "a-b", "x"), "key"),
        (SetAccountDetail("a@bank", "k" * 65, "x"), "key"),
        (SetAccountDetail("a@bank", "k", "x" * (4 * 1024 * 1024 + 1)), "value"),
        (OtherCommand("create_domain"), "create_domain"),
    ],
)
def test_a_command_the_ledger_would_refuse_is_refused_before_signing(command, told):
    class Unused:
        def sign(self, _: bytes) -> bytes:
            raise AssertionError("signed an invalid transaction")

    with pytest.raises(InvalidTransaction, match=told):
        build("a@bank", [transfer(description="fine"), command], AT, key=Unused())


@pytest.mark.parametrize(
    "command",
    [
        transfer(amount="007"),
        transfer(amount="1.5", asset_id="unknown#other"),
        transfer(amount="12.5", asset_id="usd#nbc"),
        transfer(description="ក" * 21),
        transfer(description="a" * 64),
        transfer(dest=f"{'a' * 32}@a-b.c1.D"),
        CreateAccount("85512345678_2", "bank", URSA_KEY.public_key),
    ],
)
def test_what_the_ledger_takes_is_not_refused(command):
    assert commands_of(parsed(build("a@bank", [command], AT, key=KEY))) == (command,)


@pytest.mark.parametrize("at", [0, -1, 1_700_000_000, 1.7e12, "1700000000000", True, 10**15])
def test_a_time_that_is_no_milliseconds_is_refused(at):
    with pytest.raises(InvalidTransaction, match="created_time"):
        build("a@bank", [transfer()], at, key=KEY)


def test_creator_commands_and_quorum_are_checked():
    with pytest.raises(InvalidTransaction, match="creator"):
        build("a", [transfer()], AT, key=KEY)
    with pytest.raises(InvalidTransaction, match="at least one"):
        build("a@bank", [], AT, key=KEY)
    for quorum in (0, 129, 1.0):
        with pytest.raises(InvalidTransaction, match="quorum"):
            build("a@bank", [transfer()], AT, key=KEY, quorum=quorum)


# --- the bodies of calls -----------------------------------------------------------------------


def singles(count: int) -> list[bytes]:
    return [
        build("a@bank", [transfer(description=str(n))], AT, key=URSA_KEY).data for n in range(count)
    ]


def listed(body: bytes) -> list[bytes]:
    return [each.SerializeToString() for each in TxList.FromString(body).transactions]


@given(st.integers(0, 12), st.integers(1, 5))
def test_calls_carry_every_transaction_once_in_order_and_byte_for_byte(count, most):
    stored = singles(count)
    bodies = [listed(body) for body in calls(stored, most=most)]
    assert [each for body in bodies for each in body] == stored
    assert all(1 <= len(body) <= most for body in bodies)


def test_a_batch_is_never_cut_between_two_calls():
    stored = [*singles(2), *(signed.data for signed in build_batch(opening())), *singles(1)]
    bodies = [len(listed(body)) for body in calls(stored, most=3)]
    assert bodies == [2, 3]
    assert [len(listed(body)) for body in calls(stored[2:4], most=1)] == [2]


def test_bytes_that_are_no_transaction_are_refused_before_anything_is_sent():
    with pytest.raises(InvalidTransaction):
        list(calls([b"\xff\xff"], most=10))
