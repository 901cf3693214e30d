"""The first block: Iroha's JSON form, narrow roles, and money where it should start."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict

from ledger_client.genesis import BANK_KEYS, Bank, Peer, dump_genesis, genesis, pinned
from ledger_client.keys import SigningKey
from ledger_client.ledger import InvalidTransaction
from ledger_client.proto.block_pb2 import Block
from ledger_client.proto.primitive_pb2 import RolePermission
from ledger_client.roles import RECOVERER_QUORUM, ROLES, network_page


def public(number: int) -> str:
    return SigningKey.from_seed(bytes([number]) * 32).public_key


def bank(domain: str, first: int = 10) -> Bank:
    return Bank.of(domain, lambda name: public(first + BANK_KEYS.index(name)))


PEERS = [Peer("127.0.0.1:10001", public(1))]
BLOCK = genesis([bank("bank"), bank("other", 20)], PEERS, issuer=public(2))


def commands(name: str) -> list:
    payload = ParseDict(BLOCK, Block()).block_v1.payload
    every = [
        command
        for transaction in payload.transactions
        for command in transaction.payload.reduced_payload.commands
    ]
    return [getattr(each, name) for each in every if each.WhichOneof("command") == name]


def test_the_file_has_the_form_of_irohas_own_example(tmp_path):
    path = tmp_path / "genesis.block"
    dump_genesis(path, BLOCK)
    block = json.loads(path.read_text())
    payload = block["block_v1"]["payload"]
    assert (payload["height"], payload["txNumber"]) == ("1", 2)
    assert payload["prevBlockHash"] == "0" * 64
    first = payload["transactions"][0]["payload"]["reducedPayload"]["commands"][0]
    assert first == {"addPeer": {"peer": {"address": "127.0.0.1:10001", "peerKey": public(1)}}}
    assert ParseDict(block, Block()) == ParseDict(BLOCK, Block())


def test_a_peer_that_only_follows_signs_no_blocks():
    block = genesis([bank("bank")], [*PEERS, Peer("127.0.0.1:10002", public(3))], issuer=public(2))
    assert pinned(block).peers == {public(1), public(3)}
    follows = deepcopy(block)
    payload = follows["block_v1"]["payload"]["transactions"][0]["payload"]
    payload["reducedPayload"]["commands"][1]["addPeer"]["peer"]["syncingPeer"] = True
    assert pinned(follows).peers == {public(1)}


def test_the_currencies_have_their_precision():
    assets = {(a.asset_name, a.domain_id): a.precision for a in commands("create_asset")}
    assert assets == {("khr", "nbc"): 0, ("usd", "nbc"): 2}


def test_every_bank_has_its_accounts_with_their_own_role_only():
    roles = {}
    for domain in commands("create_domain"):
        roles[domain.domain_id] = domain.default_role
    held = {}
    for account in commands("create_account"):
        held[f"{account.account_name}@{account.domain_id}"] = {roles[account.domain_id]}
    for change in commands("append_role"):
        held[change.account_id].add(change.role_name)
    for change in commands("detach_role"):
        held[change.account_id].remove(change.role_name)
    assert held == {
        "issuer@nbc": {"issuer"},
        **{
            f"{name}@{domain}": {name, "wallet"} if name == "opener" else {name}
            for domain in ("bank", "other")
            for name in ("opener", "recoverer", "treasury", "settlement")
        },
    }


def test_roles_come_before_what_uses_them_and_name_real_permissions():
    created = [role.role_name for role in commands("create_role")]
    assert created == list(ROLES)
    for role in ROLES.values():
        assert set(role.permissions) <= set(RolePermission.keys())
        assert "root" not in role.permissions


def test_the_opener_holds_the_whole_default_role_and_nothing_that_moves_keys():
    """Iroha lets an account be created only by one that holds all of the default role."""
    opener = ROLES["opener"].permissions
    assert "can_create_account" in opener
    assert not {permission for permission in opener if "signatory" in permission}
    assert not {permission for permission in opener if "transfer" in permission}


def test_two_keys_of_the_recoverer_must_sign_and_one_of_every_other_account():
    added = {(each.account_id, each.public_key) for each in commands("add_signatory")}
    assert added == {("recoverer@bank", public(12)), ("recoverer@other", public(22))}
    quorums = {each.account_id: each.quorum for each in commands("set_account_quorum")}
    assert quorums == dict.fromkeys(("recoverer@bank", "recoverer@other"), RECOVERER_QUORUM)


def test_no_role_lets_anybody_change_who_may_do_what():
    """After the genesis block nobody makes peers, banks, roles, or weakens a quorum."""
    governing = (
        *("can_add_peer", "can_remove_peer", "can_create_domain", "can_create_asset"),
        *("can_create_role", "can_append_role", "can_detach_role", "can_set_quorum", "root"),
    )
    every = {permission for role in ROLES.values() for permission in role.permissions}
    assert every.isdisjoint(governing)


def test_the_page_about_roles_is_the_one_generated_from_them():
    page = Path(__file__).parents[2] / "ledger_client" / "NETWORK.md"
    assert page.read_text(encoding="utf-8") == network_page()


def test_every_treasury_gets_its_funds_and_the_issuer_keeps_nothing():
    minted = {each.asset_id: each.amount for each in commands("add_asset_quantity")}
    assert minted == {"khr#nbc": "2000000000000", "usd#nbc": "2000000000.00"}
    moved = [
        (t.src_account_id, t.dest_account_id, t.asset_id, t.amount)
        for t in commands("transfer_asset")
    ]
    assert sorted(moved) == sorted(
        ("issuer@nbc", f"treasury@{domain}", asset, amount)
        for domain in ("bank", "other")
        for asset, amount in (("khr#nbc", "1000000000000"), ("usd#nbc", "1000000000.00"))
    )


def test_descriptions_are_limited_as_the_client_assumes():
    (setting,) = commands("set_setting_value")
    assert (setting.key, setting.value) == ("MaxDescriptionSize", "64")


def test_malformed_names_and_keys_are_refused():
    with pytest.raises(InvalidTransaction, match="domain"):
        genesis([bank("no domain")], PEERS, issuer=public(2))
    with pytest.raises(InvalidTransaction, match="public_key"):
        genesis([bank("bank")], [Peer("127.0.0.1:10001", "")], issuer=public(2))
    with pytest.raises(InvalidTransaction, match="public_key"):
        genesis([bank("bank")], PEERS, issuer="00" * 32)


@pytest.mark.parametrize(
    ("banks", "peers", "naming"),
    [
        ([bank("bank"), bank("bank", 20)], PEERS, "domains"),
        ([bank("nbc")], PEERS, "domains"),
        ([bank("bank"), replace(bank("other", 20), opener=public(11))], PEERS, "different banks"),
        ([replace(bank("bank"), recoverer_second=public(11).upper())], PEERS, "recoverer@bank"),
        ([bank("bank")], [*PEERS, Peer("127.0.0.2:10001", public(1))], "peers' keys"),
        ([bank("bank")], [*PEERS, Peer("127.0.0.1:10001", public(3))], "peers' addresses"),
    ],
)
def test_what_is_there_twice_is_refused(banks, peers, naming):
    """Nobody asks for permission in the genesis block, and a peer would not start from it."""
    with pytest.raises(InvalidTransaction, match=f"{naming}: no two"):
        genesis(banks, peers, issuer=public(2))
