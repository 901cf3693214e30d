"""The numbers of facts measured on real peers, one row per case, in both dialects."""

import pytest
from town import Town, key, town

from ledger_client.proto import commands_pb2 as pb
from ledger_client.proto import primitive_pb2 as may
from ledger_client.proto import queries_pb2
from ledger_client.proto.endpoint_pb2 import NOT_RECEIVED, REJECTED, STATEFUL_VALIDATION_FAILED
from sim.ledger import Settings

ALICE, BOB, CHIEF, MUTE = "alice@bank", "bob@bank", "issuer@nbc", "mute@bank"
NO_ACCOUNT = "nobody@bank"
KEY = key("one more").public_key

# The issuer, so that every command has somebody who may; and one who may do everything to itself.
EXTRA = [
    {"createRole": {"roleName": "chief", "permissions": ["root"]}},
    {"appendRole": {"accountId": CHIEF, "roleName": "chief"}},
    {"createRole": {"roleName": "own", "permissions": ["can_set_quorum", "can_get_my_acc_detail"]}},
    # Whoever may do nothing at all.
    {
        "createAccount": {
            "accountName": "mute",
            "domainId": "bank",
            "publicKey": key(MUTE).public_key,
        }
    },
    {"detachRole": {"accountId": MUTE, "roleName": "wallet"}},
]


def transfer(amount="1", src=ALICE, dest=BOB, asset="khr#nbc", text=""):
    body = pb.TransferAsset(
        src_account_id=src, dest_account_id=dest, asset_id=asset, amount=amount, description=text
    )
    return pb.Command(transfer_asset=body)


def grant(to, right=may.can_add_my_signatory):
    return pb.Command(grant_permission=pb.GrantPermission(account_id=to, permission=right))


def revoke(to, right=may.can_add_my_signatory):
    return pb.Command(revoke_permission=pb.RevokePermission(account_id=to, permission=right))


def cmd(field, **body):
    kind = getattr(pb.Command(), field)
    return pb.Command(**{field: type(kind)(**body)})


CASES = {
    "not enough": (ALICE, transfer("1001"), 6, 6),
    "holds none of it": (ALICE, transfer(asset="usd#nbc"), 3, 6),
    "nobody to receive": (ALICE, transfer(dest=NO_ACCOUNT), 3, 4),
    "no such asset": (ALICE, transfer(asset="eur#nbc"), 3, 5),
    "decimals of an asset without": (ALICE, transfer("1.0"), 6, 5),
    "description too long": (ALICE, transfer(text="x" * 65), 1009, 8),
    "description too long in bytes": (ALICE, transfer(text="\u1780" * 22), 1009, 8),
    "somebody else's money": (ALICE, transfer(src=BOB, dest="treasury@bank"), 2, 2),
    "receiver may not receive": (ALICE, transfer(dest="recoverer@bank"), 2, 2),
    "sender may not send": (MUTE, transfer(src=MUTE), 2, 2),
    "minting without a right": (
        ALICE,
        cmd("add_asset_quantity", asset_id="khr#nbc", amount="5"),
        2,
        2,
    ),
    "minting the unknown": (CHIEF, cmd("add_asset_quantity", asset_id="eur#nbc", amount="5"), 3, 3),
    "burning too much": (
        CHIEF,
        cmd("subtract_asset_quantity", asset_id="khr#nbc", amount="5"),
        3,
        4,
    ),
    "account exists": (
        "opener@bank",
        cmd("create_account", account_name="alice", domain_id="bank", public_key=KEY),
        4,
        4,
    ),
    "no domain": (
        "opener@bank",
        cmd("create_account", account_name="alice", domain_id="nowhere", public_key=KEY),
        3,
        3,
    ),
    "default role above one's own": (
        "opener@bank",
        cmd("create_account", account_name="alice", domain_id="nbc", public_key=KEY),
        2,
        2,
    ),
    "signatory exists": (
        ALICE,
        cmd("add_signatory", account_id=ALICE, public_key=key(ALICE).public_key),
        3,
        4,
    ),
    "another's signatory": (BOB, cmd("add_signatory", account_id=ALICE, public_key=KEY), 2, 2),
    "no such signatory": (ALICE, cmd("remove_signatory", account_id=ALICE, public_key=KEY), 4, 4),
    "last signatory": (
        ALICE,
        cmd("remove_signatory", account_id=ALICE, public_key=key(ALICE).public_key),
        5,
        5,
    ),
    "granted twice": (ALICE, grant("recoverer@bank"), 1007, 1),
    "grant to nobody": (ALICE, grant(NO_ACCOUNT), 3, 3),
    "grant without a right": (ALICE, grant(BOB, may.can_set_my_quorum), 2, 2),
    "revoking what was not granted": (ALICE, revoke(BOB), 2, 2),
    "quorum out of reach": (CHIEF, cmd("set_account_quorum", account_id=CHIEF, quorum=2), 5, 5),
    "another's note": (
        ALICE,
        cmd("set_account_detail", account_id=BOB, key="k", value="v"),
        2,
        2,
    ),
    "old value differs": (
        CHIEF,
        cmd(
            "compare_and_set_account_detail", account_id=CHIEF, key="note", value="v", old_value="x"
        ),
        4,
        4,
    ),
    "role without a right": (ALICE, cmd("append_role", account_id=ALICE, role_name="chief"), 2, 2),
    "no such role": (CHIEF, cmd("append_role", account_id=ALICE, role_name="king"), 3, 4),
    "role unknown, to take": (
        CHIEF,
        cmd("detach_role", account_id=ALICE, role_name="king"),
        3,
        5,
    ),
    "role not held": (CHIEF, cmd("detach_role", account_id=ALICE, role_name="chief"), 3, 4),
    "minting too precisely": (
        CHIEF,
        cmd("add_asset_quantity", asset_id="khr#nbc", amount="0.5"),
        4,
        3,
    ),
    "burning too precisely": (
        CHIEF,
        cmd("subtract_asset_quantity", asset_id="khr#nbc", amount="0.5"),
        3,
        3,
    ),
    "domain exists": (CHIEF, cmd("create_domain", domain_id="bank", default_role="wallet"), 4, 3),
    "asset exists": (
        CHIEF,
        cmd("create_asset", asset_name="khr", domain_id="nbc", precision=2),
        4,
        4,
    ),
    "genesis only": (CHIEF, cmd("set_setting_value", key="MaxDescriptionSize", value="9"), 2, 2),
    "contracts": (CHIEF, cmd("call_engine", caller=CHIEF), 1005, 1),
}


async def prepared(bank: Town) -> None:
    await bank.people(ALICE, BOB)
    note = cmd("set_account_detail", account_id=CHIEF, key="note", value="old")
    assert await bank.settle(bank.wired(CHIEF, note)) == ["COMMITTED"]


@pytest.mark.parametrize("profile", ["rocksdb", "postgres"])
async def test_each_backend_tells_its_own_code_and_only_live(tmp_path, profile):
    async with town(tmp_path, Settings(block_ms=None, profile=profile), extra=EXTRA) as bank:
        await prepared(bank)
        before = bank.server.chain.world.accounts.all()
        found = {}
        for case, (creator, command, *_) in CASES.items():
            wrong = bank.wired(
                creator, grant("settlement@bank", may.can_remove_my_signatory), command
            )
            if creator != ALICE:
                wrong = bank.wired(creator, command)
            stream = aiter(bank.stream(wrong.tx_hash))
            assert (await anext(stream)).tx_status == NOT_RECEIVED
            assert await bank.settle(wrong) == ["REJECTED"], case
            told = [it async for it in stream]
            assert [it.tx_status for it in told] == [1, 9, STATEFUL_VALIDATION_FAILED, REJECTED]
            assert told[2].failed_cmd_index == (1 if creator == ALICE else 0)
            assert told[2].err_or_cmd_name
            assert (told[3].error_code, told[3].err_or_cmd_name) == (0, "")
            assert (await bank.told(wrong)).error_code == 0
            found[case] = told[2].error_code
        column = 2 if profile == "rocksdb" else 3
        assert found == {case: row[column] for case, row in CASES.items()}
        assert bank.server.chain.world.accounts.all() == before


async def test_roles_domains_assets_notes_and_quorum_can_be_changed_by_those_who_may(tmp_path):
    async with town(tmp_path, Settings(block_ms=None), extra=EXTRA) as bank:
        await prepared(bank)
        steps = [
            cmd("create_role", role_name="payer", permissions=[may.can_transfer]),
            cmd("create_domain", domain_id="other", default_role="payer"),
            cmd("create_asset", asset_name="coin", domain_id="other", precision=3),
            cmd("add_asset_quantity", asset_id="coin#other", amount="1.5"),
            cmd("subtract_asset_quantity", asset_id="coin#other", amount="0.25"),
            cmd("append_role", account_id=ALICE, role_name="payer"),
            cmd("detach_role", account_id=ALICE, role_name="payer"),
            cmd("add_signatory", account_id=CHIEF, public_key=KEY),
            cmd("set_account_quorum", account_id=CHIEF, quorum=2),
            cmd("set_account_quorum", account_id=CHIEF, quorum=1),
            cmd("set_account_detail", account_id=ALICE, key="k", value="v"),
            cmd(
                "compare_and_set_account_detail",
                account_id=CHIEF,
                key="note",
                value="new",
                old_value="old",
            ),
            cmd(
                "compare_and_set_account_detail",
                account_id=CHIEF,
                key="first",
                value="1",
                check_empty=True,
            ),
            cmd("add_peer", peer=may.Peer(address="127.0.0.1:10002", peer_key=KEY)),
            cmd("remove_peer", public_key=KEY),
            grant(ALICE, may.can_transfer_my_assets),
        ]
        assert await bank.settle(bank.wired(CHIEF, *steps)) == ["COMMITTED"]
        mint = cmd("add_asset_quantity", asset_id="khr#nbc", amount="70")
        spend = bank.wired(ALICE, transfer("30", src=CHIEF, dest=BOB))
        assert await bank.settle(bank.wired(CHIEF, mint), spend) == ["COMMITTED"] * 2
        assert await bank.riel(BOB) == 1030
        taken = bank.wired(CHIEF, revoke(ALICE, may.can_transfer_my_assets))
        again = bank.wired(ALICE, transfer("30", src=CHIEF, dest=BOB))
        assert await bank.settle(taken, again) == ["COMMITTED", "REJECTED"]
        chief = bank.server.chain.world.accounts[CHIEF]
        assert chief.balances["coin#other"] == 1250
        assert chief.details == {CHIEF: {"note": "new", "first": "1"}}
        assert (chief.quorum, len(chief.signatories)) == (1, 2)


async def one_command(bank: Town, creator, command) -> str:
    (status,) = await bank.settle(bank.wired(creator, command))
    return status


@pytest.mark.parametrize(
    ("profile", "expected"), [("rocksdb", "COMMITTED"), ("postgres", "REJECTED")]
)
async def test_a_role_for_ones_own_quorum_and_notes_reaches_further_with_rocksdb(
    tmp_path, profile, expected
):
    async with town(tmp_path, Settings(block_ms=None, profile=profile), extra=EXTRA) as bank:
        await prepared(bank)
        give = cmd("append_role", account_id=ALICE, role_name="own")
        assert await one_command(bank, CHIEF, give) == "COMMITTED"
        quorum = {"account_id": BOB, "quorum": 1}
        assert await one_command(bank, ALICE, cmd("set_account_quorum", **quorum)) == expected
        note = {"account_id": BOB, "key": "k", "value": "v"}
        note_if = cmd("compare_and_set_account_detail", **note)
        assert await one_command(bank, ALICE, note_if) == expected
        note["account_id"] = quorum["account_id"] = ALICE
        own = [cmd("set_account_quorum", **quorum), cmd("compare_and_set_account_detail", **note)]
        assert await bank.settle(bank.wired(ALICE, *own)) == ["COMMITTED"]


@pytest.mark.parametrize("profile", ["rocksdb", "postgres"])
async def test_what_was_granted_may_be_taken_back_without_any_permission(tmp_path, profile):
    async with town(tmp_path, Settings(block_ms=None, profile=profile), extra=EXTRA) as bank:
        await prepared(bank)
        bare = cmd("detach_role", account_id=ALICE, role_name="wallet")
        assert await one_command(bank, CHIEF, bare) == "COMMITTED"
        back = revoke("recoverer@bank")
        assert await one_command(bank, ALICE, back) == "COMMITTED"
        assert bank.server.chain.world.accounts[ALICE].grants["recoverer@bank"] == 0b10


async def test_root_in_a_new_role_is_every_permission(tmp_path):
    async with town(tmp_path, Settings(block_ms=None), extra=EXTRA) as bank:
        asked = queries_pb2.GetRolePermissions(role_id="chief")
        answer = await bank.ask(CHIEF, get_role_permissions=asked)
        assert set(answer.permissions) == set(may.RolePermission.values())


async def test_an_account_with_a_quorum_needs_that_many_of_its_own_keys(tmp_path):
    async with town(tmp_path, Settings(block_ms=None), extra=EXTRA) as bank:
        await prepared(bank)
        add = cmd("add_signatory", account_id=CHIEF, public_key=KEY)
        quorum = cmd("set_account_quorum", account_id=CHIEF, quorum=2)
        assert await bank.settle(bank.wired(CHIEF, add, quorum)) == ["COMMITTED"]
        mint = cmd("add_asset_quantity", asset_id="khr#nbc", amount="70")
        assert await bank.settle(bank.wired(CHIEF, mint)) == ["REJECTED"]
