"""What is said of a bank when its network lacks one thing, each in turn."""

import pytest
from networks import NOON, OPENER, begun, changed, first_block, key, the, without, wrong

from ledger_client.asking import Asking
from ledger_client.charter import Charter
from ledger_client.check import State
from ledger_client.check.bank import BankCheck
from ledger_client.check.findings import Terms
from ledger_client.roles import ROLES

NOT_ASKED = {"can_get_my_acc_ast"}  # a gateway asks for balances as the opener
UNSEEN = {"can_get_domain_accounts", "can_get_domain_signatories"}
BLOCK = first_block()


@pytest.mark.parametrize(
    "permission", sorted(set(ROLES["opener"].permissions) - UNSEEN - {"can_get_blocks"})
)
async def test_a_right_that_the_opener_lacks(tmp_path, permission):
    async with begun(tmp_path, without(BLOCK, "opener", permission)) as place:
        found = await place.look()
        assert wrong(found)[OPENER] == f"lacks {permission}"
        assert "AppendRole opener@bank" in the(OPENER, found).remedy


@pytest.mark.parametrize("permission", sorted(UNSEEN))
async def test_an_opener_that_may_not_look_at_its_own_bank(tmp_path, permission):
    async with begun(tmp_path, without(BLOCK, "opener", permission)) as place:
        found = wrong(await place.look())
        assert permission in found["treasury@bank"]


async def test_an_opener_that_may_not_read_blocks_is_told_that_and_no_more(tmp_path):
    async with begun(tmp_path, without(BLOCK, "opener", "can_get_blocks")) as place:
        assert wrong(await place.look()) == {OPENER: "lacks can_get_blocks"}


@pytest.mark.parametrize("permission", sorted(set(ROLES["wallet"].permissions) - NOT_ASKED))
async def test_a_right_that_wallets_lack(tmp_path, permission):
    async with begun(tmp_path, without(BLOCK, "wallet", permission)) as place:
        assert permission in wrong(await place.look())["domain bank"]


@pytest.mark.parametrize("name", ["treasury", "settlement"])
@pytest.mark.parametrize("permission", ["can_receive", "can_transfer"])
async def test_a_bank_account_that_cannot_pay_or_be_paid(tmp_path, name, permission):
    async with begun(tmp_path, without(BLOCK, name, permission)) as place:
        assert wrong(await place.look()) == {f"{name}@bank": f"lacks {permission}"}


async def test_a_wider_right_is_as_good(tmp_path):
    def widen(command):
        role = command.get("createRole")
        if role and role["roleName"] == "opener":
            role["permissions"] = [
                permission.replace("_domain_", "_all_") for permission in role["permissions"]
            ]
        if role and role["roleName"] == "treasury":
            role["permissions"] = ["root"]
        return command

    async with begun(tmp_path, changed(BLOCK, widen)) as place:
        assert wrong(await place.look()) == {}


async def test_an_opener_without_the_wallets_rights_cannot_open_wallets(tmp_path):
    """CreateAccount demands of its creator all that the new account will hold."""
    detach = {"detachRole": {"accountId": OPENER, "roleName": "wallet"}}
    async with begun(tmp_path, changed(BLOCK, lambda it: it, [detach])) as place:
        found = await place.look()
        assert "cannot get wallets" in wrong(found)["domain bank"]
        assert the("domain bank", found).remedy == f"AppendRole {OPENER} wallet"


async def test_another_key_than_the_openers(tmp_path):
    async with begun(tmp_path) as place:
        found = await place.look(key=key("another"))
        said = the(OPENER, found)
        assert wrong(found) == {OPENER: said.says}
        assert said.says == f"does not exist, or its key is not {key('another').public_key}"
        assert "the opener's key" in said.remedy


async def test_another_banks_domain(tmp_path):
    async with begun(tmp_path) as place:
        found = await place.look(domain="other")
        assert "does not exist" in wrong(found)["opener@other"]


async def test_an_account_that_is_not_there(tmp_path):
    def drop(command):
        made = command.get("createAccount", {}).get("accountName") == "settlement"
        return None if made or "settlement@bank" in str(command) else command

    async with begun(tmp_path, changed(BLOCK, drop)) as place:
        found = await place.look()
        assert wrong(found) == {"settlement@bank": "does not exist"}
        assert "CreateAccount settlement bank" in the("settlement@bank", found).remedy


@pytest.mark.parametrize(
    ("lacking", "says", "remedy"),
    [
        (["setAccountQuorum"], "1 of its 2 keys must sign, not 2", "SetAccountQuorum"),
        (["setAccountQuorum", "addSignatory"], "1 of its 1 keys must sign, not 2", "AddSignatory"),
    ],
)
async def test_a_recoverer_that_one_person_could_use(tmp_path, lacking, says, remedy):
    block = changed(BLOCK, lambda it: None if lacking[-1] in it or lacking[0] in it else it)
    async with begun(tmp_path, block) as place:
        found = await place.look()
        assert wrong(found) == {"recoverer@bank": says}
        assert remedy in the("recoverer@bank", found).remedy


async def test_a_currency_with_other_decimals(tmp_path):
    def more(command):
        if command.get("createAsset", {}).get("assetName") == "khr":
            command["createAsset"]["precision"] = 2
        return command

    async with begun(tmp_path, changed(BLOCK, more)) as place:
        found = wrong(await place.look())
        assert found == {"khr#nbc": "has 2 decimals, not 0: amounts would be wrong or refused"}


async def test_currencies_of_another_domain(tmp_path):
    """What the first block does not make has to be asked for, which takes a right."""
    async with begun(tmp_path / "1") as place:
        found = await place.look(asset_domain="cbdc")
        assert the("khr#cbdc", found).state is State.UNKNOWN
        assert "can_read_assets" in the("usd#cbdc", found).says
    reading = [
        {"createRole": {"roleName": "reader", "permissions": ["can_read_assets"]}},
        {"appendRole": {"accountId": OPENER, "roleName": "reader"}},
    ]
    async with begun(tmp_path / "2", changed(BLOCK, lambda it: it, reading)) as place:
        found = await place.look(asset_domain="cbdc")
        assert wrong(found) == dict.fromkeys(("khr#cbdc", "usd#cbdc"), "does not exist")
        assert "the domain of the assets" in the("khr#cbdc", found).remedy


@pytest.mark.parametrize(("limit", "fits"), [("63", False), ("64", True), ("1000", True)])
async def test_how_long_descriptions_may_be(tmp_path, limit, fits):
    def set_limit(command):
        if "setSettingValue" in command:
            command["setSettingValue"]["value"] = limit
        return command

    async with begun(tmp_path, changed(BLOCK, set_limit)) as place:
        said = the("descriptions", await place.look())
        assert (said.state is State.FINE) is fits
        assert f"limited to {limit} bytes" in said.says


async def test_descriptions_without_a_limit(tmp_path):
    block = changed(BLOCK, lambda it: None if "setSettingValue" in it else it)
    async with begun(tmp_path, block) as place:
        said = the("descriptions", await place.look())
        assert said.says == "are not limited by this network; our own stay within 64 bytes"


async def test_what_was_made_after_the_first_block_is_asked_for_or_unknown(tmp_path):
    async def looked(place) -> dict[str, str]:
        asking = Asking(
            place.server.address,
            OPENER,
            key(OPENER),
            tls_ca=None,
            deadline_s=5.0,
            now_ms=lambda: NOON,
            entropy=bytes,
        )
        nothing = Charter({}, {}, {}, {})
        bank = BankCheck(asking, nothing, "bank", "nbc", Terms())
        found = [finding async for finding in bank.findings()]
        await asking.close()
        assert not [finding for finding in found if finding.state is State.MISSING]
        return wrong(found)

    async with begun(tmp_path / "1") as place:
        unknown = await looked(place)
        assert "can_get_roles" in unknown["treasury@bank"]
        assert set(unknown) > {OPENER, "recoverer@bank", "settlement@bank", "khr#nbc"}

    def allow(command):
        role = command.get("createRole")
        if role and role["roleName"] == "opener":
            role["permissions"] += ["can_get_roles", "can_read_assets"]
        return command

    async with begun(tmp_path / "2", changed(BLOCK, allow)) as place:
        assert set(await looked(place)) == {"domain bank"}


def test_a_change_of_a_block_leaves_the_block_alone():
    assert without(BLOCK, "opener", "can_get_blocks") != BLOCK
    assert first_block() == BLOCK
