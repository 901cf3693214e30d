"""A key without a PIN yet: the outer layer alone, and never taken for the other kind."""

from dataclasses import replace

import pytest
from clocks import seeded
from custody_parts import LEAST, PIN

from gateway.kek import Kek
from gateway.vault import DoesNotOpen, Sealed, Vault

SECRET = bytes(range(32))
ACCOUNT = "85512345601@bank"


def vault_of(*versions: int) -> Vault:
    kek = Kek({version: bytes([version]) * 32 for version in versions})
    return Vault(kek, seeded(), None, cost=LEAST)


def sealed() -> Sealed:
    return vault_of(1).seal_without_pin(ACCOUNT, 3, SECRET)


def test_it_opens_without_a_pin_and_says_that_it_has_none():
    assert not sealed().has_pin
    assert vault_of(1).open_without_pin(ACCOUNT, sealed()) == SECRET
    assert SECRET not in sealed().blob


async def test_neither_kind_opens_as_the_other():
    vault = vault_of(1)
    two_layers = vault.seal(ACCOUNT, 3, SECRET, await vault.derive(PIN))
    assert two_layers.has_pin
    with pytest.raises(DoesNotOpen):
        vault.open_without_pin(ACCOUNT, two_layers)
    with pytest.raises(DoesNotOpen):
        await vault.open(ACCOUNT, sealed(), PIN)


async def test_a_form_that_was_written_over_does_not_open():
    """Who can write to the database cannot make one kind of the other."""
    vault = vault_of(1)
    two_layers = vault.seal(ACCOUNT, 3, SECRET, await vault.derive(PIN))
    bare = replace(two_layers, salt=b"", blob=b"\x02" + two_layers.blob[1:])
    with pytest.raises(DoesNotOpen):
        vault.open_without_pin(ACCOUNT, bare)
    dressed = replace(sealed(), salt=two_layers.salt, blob=b"\x01" + sealed().blob[1:])
    with pytest.raises(DoesNotOpen):
        await vault.open(ACCOUNT, dressed, PIN)


@pytest.mark.parametrize(
    ("account", "changes"),
    [
        ("85512345602@bank", {}),
        (ACCOUNT, {"key_version": 4}),
        (ACCOUNT, {"kek_version": 2}),
        (ACCOUNT, {"salt": bytes(16)}),
        (ACCOUNT, {"blob": b"\x02"}),
    ],
)
def test_it_opens_at_its_own_address_only(account, changes):
    with pytest.raises(DoesNotOpen):
        vault_of(1, 2).open_without_pin(account, replace(sealed(), **changes))


def test_the_key_encryption_key_is_rotated_under_it():
    moved = vault_of(1, 2).rewrap(ACCOUNT, sealed())
    assert moved.kek_version == 2
    assert vault_of(2).open_without_pin(ACCOUNT, moved) == SECRET
