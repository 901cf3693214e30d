"""Keys open for their own account, version, KEK and PIN, and for nothing else."""

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock

import pytest
from clocks import seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import vault as vault_module
from gateway.kek import Kek, KekError, KekVersionMissing
from gateway.vault import Cost, DoesNotOpen, PinKey, Sealed, Vault, VaultBusy, WrongPinKey
from menus.kinds import Pin

LEAST = Cost(passes=1, kib=8)
PIN = Pin("730264")
SECRET = bytes(range(32))


def keks(*versions: int) -> Kek:
    return Kek({version: bytes([version]) * 32 for version in versions})


def make_vault(kek: Kek | None = None, **settings: int) -> Vault:
    return Vault(kek or keks(1), seeded(), None, cost=LEAST, **settings)


async def sealed_for(vault: Vault, account: str = "a@bank", pin: Pin = PIN) -> Sealed:
    return vault.seal(account, 1, SECRET, await vault.derive(pin))


async def test_the_right_pin_opens_the_key_it_sealed():
    vault = make_vault()
    assert await vault.open("a@bank", await sealed_for(vault), PIN) == SECRET


# Made once, by an earlier release: databases hold such rows, and must be opened for ever.
OLD_SALT = bytes.fromhex("531a076e88bcf21cecc531de045100de")
OLD_KEY = bytes.fromhex(
    "010000000100000008b96b2214995feb72dd25d2a4f3b0938306aa635f0dd12d7c997d9a7b73f6c3bc4272247aede5"
    "2a37a866bf2a25416ac63103141e403d528c7306bdc9b58d68f68b5cbf3de502dc90c3d1a55900bbc6af75ccb37117"
    "083abf6341575b00e16b722efe293369e27aa5c4b3af8ac12749e1"
)
OLD_WITHOUT_PIN = bytes.fromhex(
    "0200000000000000009ea143cc9c7cc51b98955d2233f74fcb591c1bf8873872252e2bd88ff1e3ad716f13354852b5"
    "c7ff22682eaf98f8454085e58b0fe673f2a2cb2c587653590983d9010ee36c7e51ec"
)
OLD_MAC = bytes.fromhex("0000000732cfb9c545e8254186a9b15dd11a8c3d6fd1dea5658e54e2c035979e31cf93bf")


async def test_what_an_earlier_release_has_sealed_is_opened_still():
    vault = make_vault(keks(7))
    owned, unclaimed = Sealed(1, 7, OLD_SALT, OLD_KEY), Sealed(3, 7, b"", OLD_WITHOUT_PIN)
    assert await vault.open("85512345601@bank", owned, PIN) == SECRET
    assert vault.open_without_pin("85512345606@bank", unclaimed) == SECRET
    assert vault.is_mac("sms", b"text", OLD_MAC)


async def test_another_pin_is_the_only_thing_called_a_wrong_pin():
    vault = make_vault()
    sealed = await sealed_for(vault)
    with pytest.raises(WrongPinKey):
        await vault.open("a@bank", sealed, Pin("730265"))


@pytest.mark.parametrize(
    "changed",
    [
        lambda s: replace(s, key_version=2),
        lambda s: replace(s, kek_version=2),
        lambda s: replace(s, kek_version=9),
        lambda s: replace(s, salt=bytes(16)),
        lambda s: replace(s, blob=s.blob[:-1]),
        lambda s: replace(s, blob=s.blob[:40]),  # less than any seal
        lambda s: replace(s, blob=b""),
        lambda s: replace(s, blob=b"\x02" + s.blob[1:]),
        lambda s: replace(s, blob=s.blob[:4] + b"\x02" + s.blob[5:]),  # a dearer argon2
    ],
)
async def test_a_damaged_row_does_not_open_and_is_no_wrong_pin(changed):
    vault = make_vault(keks(1, 2))
    sealed = replace(await sealed_for(make_vault(keks(1))))
    with pytest.raises(DoesNotOpen):
        await vault.open("a@bank", changed(sealed), PIN)


async def test_a_damaged_row_costs_no_argon2(monkeypatch):
    vault = make_vault()
    sealed = await sealed_for(vault)
    monkeypatch.setattr(vault_module, "_argon2", lambda *_: pytest.fail("argon2 ran"))
    with pytest.raises(DoesNotOpen):
        await vault.open("b@bank", sealed, PIN)


FIELDS = ("account", "key_version", "kek_version", "salt", "blob")


@settings(max_examples=60, derandomize=True)
@given(rows=st.data())
def test_rows_of_which_any_columns_were_swapped_refuse_to_open(rows):
    """Same PIN everywhere: only the associated data tells the rows apart."""
    old = make_vault(keks(1))
    new = Vault(keks(1, 2), seeded("new"), None, cost=LEAST)

    async def check():
        two = [
            ("a@bank", await sealed_for(old, "a@bank")),
            ("b@bank", new.seal("b@bank", 2, SECRET, await new.derive(PIN))),
        ]
        columns = [(account, s.key_version, s.kek_version, s.salt, s.blob) for account, s in two]
        picks = [rows.draw(st.integers(0, 1), label=name) for name in FIELDS]
        account, key_version, kek_version, salt, blob = (
            columns[pick][i] for i, pick in enumerate(picks)
        )
        sealed = Sealed(key_version, kek_version, salt, blob)
        if len(set(picks)) == 1:
            assert await new.open(account, sealed, PIN) == SECRET
        else:
            with pytest.raises(DoesNotOpen):
                await new.open(account, sealed, PIN)

    asyncio.run(check())


async def test_a_raised_cost_leaves_older_keys_openable():
    sealed = await sealed_for(make_vault())
    dearer = Vault(keks(1), seeded("later"), None, cost=Cost(passes=2, kib=16))
    assert await dearer.open("a@bank", sealed, PIN) == SECRET


async def test_rewrapping_needs_no_pin_and_lets_the_old_version_go():
    sealed = await sealed_for(make_vault(keks(1)))
    moved = make_vault(keks(1, 2)).rewrap("a@bank", sealed)
    assert moved.kek_version == 2
    assert await make_vault(keks(2)).open("a@bank", moved, PIN) == SECRET
    with pytest.raises(WrongPinKey):
        await make_vault(keks(2)).open("a@bank", moved, Pin("111222"))
    with pytest.raises(DoesNotOpen, match="version 1"):
        await make_vault(keks(2)).open("a@bank", sealed, PIN)


async def test_rewrapping_refuses_what_does_not_belong_to_the_account():
    sealed = await sealed_for(make_vault(keks(1)))
    with pytest.raises(DoesNotOpen):
        make_vault(keks(1, 2)).rewrap("b@bank", sealed)


async def test_what_is_at_the_newest_version_is_left_alone():
    vault = make_vault()
    sealed = await sealed_for(vault)
    assert vault.rewrap("a@bank", sealed) is sealed


def test_wraps_open_at_their_own_purpose_and_address_only():
    vault = make_vault(keks(1))
    wrapped = vault.wrap("token", ("+855", "s1"), b"secret")
    later = make_vault(keks(1, 2))
    assert later.unwrap("token", ("+855", "s1"), wrapped) == b"secret"
    for purpose, address, changed in (
        ("other", ("+855", "s1"), wrapped),
        ("token", ("+855", "s2"), wrapped),
        ("token", ("+855s1",), wrapped),
        ("token", ("+855", "s1"), wrapped[:-1]),
        ("token", ("+855", "s1"), b""),
    ):
        with pytest.raises(DoesNotOpen):
            vault.unwrap(purpose, address, changed)


def test_keyed_hashes_are_separate_by_purpose_and_survive_a_rotation():
    before, after = make_vault(keks(1)), make_vault(keks(1, 2))
    mac = before.mac("text", b"*855#")
    assert len(mac) == 36
    assert mac != before.mac("code", b"*855#")
    assert after.mac("text", b"*855#") != mac
    assert after.is_mac("text", b"*855#", mac)
    assert not after.is_mac("text", b"*856#", mac)
    assert not after.is_mac("code", b"*855#", mac)
    assert not make_vault(keks(2)).is_mac("text", b"*855#", mac), "its version is gone"


async def test_argon2_runs_a_few_at_a_time_and_refuses_a_crowd(monkeypatch):
    lock, running, most = Lock(), 0, 0
    real = vault_module._argon2

    def watched(*arguments):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        try:
            return real(*arguments)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(vault_module, "_argon2", watched)
    with ThreadPoolExecutor(8) as threads:
        vault = Vault(keks(1), seeded(), threads, cost=LEAST, at_once=2, waiting_most=10)
        answers = await asyncio.gather(
            *(vault.derive(PIN) for _ in range(15)), return_exceptions=True
        )
        assert sum(isinstance(answer, PinKey) for answer in answers) == 10
        assert sum(isinstance(answer, VaultBusy) for answer in answers) == 5
        assert isinstance(await vault.derive(PIN), PinKey)
    assert most <= 2


async def test_no_secret_shows_in_a_repr_or_an_error():
    vault = make_vault()
    key = await vault.derive(PIN)
    sealed = vault.seal("a@bank", 1, SECRET, key)
    shown = f"{key!r} {sealed!r} {vault!r} {keks(1)!r} {PIN!r}"
    for pin in (PIN, Pin("111222")):
        for account in ("a@bank", "b@bank"):
            try:
                await vault.open(account, sealed, pin)
            except (WrongPinKey, DoesNotOpen) as error:
                shown += f"{error!r} {error.__cause__!r}"
    for secret in (PIN.digits, SECRET.hex(), repr(SECRET), key.key.hex(), repr(key.key)):
        assert secret not in shown


# ---- the file


def test_a_kek_file_is_private_and_is_never_replaced(tmp_path):
    path = tmp_path / "kek.toml"
    made = Kek.create(path, seeded())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Kek.load(path).derive(1, "x") == made.derive(1, "x")
    with pytest.raises(KekError, match=r"kek\.toml"):
        Kek.create(path, seeded("other"))
    assert Kek.load(path).derive(1, "x") == made.derive(1, "x")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_kek_file_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "kek.toml"
    Kek.create(path, seeded())
    path.chmod(mode)
    with pytest.raises(KekError, match="GATEWAY_KEK_FILE"):
        Kek.load(path)


def test_a_missing_kek_file_says_what_to_do(tmp_path):
    with pytest.raises(KekError, match=r"GATEWAY_KEK_FILE=.*ussd-gateway keys DIR"):
        Kek.load(tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    ["", "1 = 5", '1 = "abc"', 'a = "' + "ab" * 32 + '"', '0 = "' + "ab" * 32 + '"', "\x00secret"],
)
def test_a_malformed_kek_file_is_refused_without_quoting_it(tmp_path, text):
    path = tmp_path / "kek.toml"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(KekError) as refused:
        Kek.load(path)
    assert refused.value.__cause__ is None
    assert not text or text not in str(refused.value)


def test_a_new_version_seals_and_the_older_ones_still_open(tmp_path):
    path = tmp_path / "kek.toml"
    first = Kek.create(path, seeded())
    second = Kek.add_version(path, seeded("second"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (first.newest, second.newest) == (1, 2)
    assert Kek.load(path).versions == (2, 1)
    assert second.derive(1, "x") == first.derive(1, "x") != second.derive(2, "x")
    assert [file.name for file in tmp_path.iterdir()] == ["kek.toml"]


def test_what_a_process_died_of_adding_is_swept_away_and_a_link_stays_a_link(tmp_path):
    real = tmp_path / "real.toml"
    Kek.create(real, seeded())
    link = tmp_path / "kek.toml"
    link.symlink_to(real)
    (tmp_path / "real.toml.new").write_text("half a li")
    assert Kek.add_version(link, seeded("second")).versions == (2, 1)
    assert link.is_symlink()
    assert Kek.load(real).versions == (2, 1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kek.toml", "real.toml"]


def test_nothing_is_added_to_a_file_that_is_none(tmp_path):
    path = tmp_path / "kek.toml"
    path.touch(mode=0o600)
    with pytest.raises(KekError):
        Kek.add_version(path, seeded())
    assert path.read_bytes() == b""


def test_a_version_added_since_is_found_and_one_once_known_is_never_forgotten(tmp_path):
    path = tmp_path / "kek.toml"
    running = Kek.create(path, seeded())
    key = running.derive(1, "x")
    added = Kek.add_version(path, seeded("second"))
    assert running.newest == 1
    assert running.derive(2, "x") == added.derive(2, "x")
    assert running.versions == (2, 1)
    path.write_text(f'3 = "{"ab" * 32}"\n1 = "{"cd" * 32}"\n')
    with pytest.raises(KekVersionMissing, match="version 4"):
        running.derive(4, "x")
    assert running.derive(3, "y")
    assert running.versions == (3, 2, 1)
    assert running.derive(1, "x") == key
    path.unlink()
    with pytest.raises(KekVersionMissing, match="version 4"):
        running.derive(4, "x")
