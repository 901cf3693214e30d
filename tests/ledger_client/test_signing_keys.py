"""Keys: both forms agree with published vectors, and key files are kept to their owner."""

import copy
import os
import pickle
import stat
from hashlib import sha3_256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_scalar_add,
    crypto_scalarmult_ed25519_base_noclamp,
)

from ledger_client import ed25519_sha3
from ledger_client.keys import (
    InvalidKey,
    KeyFileError,
    SigningKey,
    is_public_key,
    load_key,
    save_key,
    verify,
)

FORMS = ("raw", "multihash")
ORDER = 2**252 + 27742317777372353535851937790883648493
seeds = st.binary(min_size=32, max_size=32)
forms = st.sampled_from(FORMS)

# Key pairs of Iroha's own example network, stock and Ursa.
ADMIN = "f101537e319568c765b2cc89698325604991dca57b9716b58016b253506cab70"
ADMIN_PUBLIC = "313a07e6384776ed95447710d15e59148473ccfc052a681317a72a69f2a49910"
TEST = "7e00405ece477bb6dd9b03a78eee4e708afc2f5bcdce399573a5958942f4a390"
TEST_PUBLIC = "716fe505f69f18511a1b083915aa9ff73ef36e6688199f3959750db38b8f4bfc"
URSA = "aa6369985c4decf7f81d2ff8d44663a3175e68bd35b9ee810bba6763ee4c562e"
URSA_PUBLIC = "ed012053abb2f4c98a20379f74f1f3af055abf9d6f5d105d416af5a470007592a44718"

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
            "f9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
            "f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
            "4dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(
    ("seed", "form", "public"),
    [
        (ADMIN, "raw", ADMIN_PUBLIC),
        (TEST, "raw", TEST_PUBLIC),
        (URSA, "multihash", URSA_PUBLIC),
    ],
)
def test_public_keys_are_those_of_irohas_example_network(seed, form, public):
    assert SigningKey.from_seed(bytes.fromhex(seed), form).public_key == public


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_multihash_form_signs_as_rfc_8032_says(seed, public, message, signature):
    key = SigningKey.from_seed(bytes.fromhex(seed), "multihash")
    assert key.public_key == "ed0120" + public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert verify(key.public_key, bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        # Made by PyPI's `iroha` 1.6.0.2, an independent implementation.
        (
            b"",
            (
                "8be56504fd1cfb90387013f9a004bbe45ddbd392e5543b9cf17ffa854314d0ae"
                "b453ceb835b5e87e0021b5ab575a0974992db195110a477a4dbfc5e9f5067909"
            ),
        ),
        (
            b"a payload",
            (
                "4b2edd2a72e58f4624735d3969c5701240bb68196c44b1b0b965de1c29f12340"
                "06fd54682aee8c09519faf9c4623861aebce8c2231d3264d2b9faa3e3aabbf00"
            ),
        ),
    ],
)
def test_the_raw_form_signs_as_irohas_own_library_does(payload, signature):
    key = SigningKey.from_seed(bytes.fromhex(ADMIN))
    assert key.sign(payload).hex() == signature


@given(seeds, forms, st.binary(max_size=300))
def test_what_a_key_signs_verifies_in_its_own_form_only(seed, form, payload):
    key = SigningKey.from_seed(seed, form)
    signature = key.sign(payload)
    assert verify(key.public_key, payload, signature)
    assert verify(key.public_key.upper(), payload, signature)
    other = (
        key.public_key.removeprefix("ed0120") if form == "multihash" else "ed0120" + key.public_key
    )
    assert not verify(other, payload, signature)


@given(seeds, forms, st.binary(min_size=1, max_size=100), st.data())
def test_tampering_with_anything_is_noticed(seed, form, payload, data):
    key = SigningKey.from_seed(seed, form)
    signature = key.sign(payload)
    spoilt = bytearray(signature)
    spoilt[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    assert not verify(key.public_key, payload, bytes(spoilt))
    altered = bytearray(payload)
    altered[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not verify(key.public_key, bytes(altered), signature)


@given(forms, seeds)
def test_the_second_form_of_a_signature_is_refused(form, seed):
    """S and S + L satisfy one equation; only the canonical one may pass."""
    key = SigningKey.from_seed(seed, form)
    signature = key.sign(b"payload")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert not verify(key.public_key, b"payload", signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "point",
    [
        bytes(32),  # order 4
        b"\x01" + bytes(31),  # the identity
        b"\xec" + b"\xff" * 30 + b"\x7f",  # order 2
        (
            b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f"
            b"\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a"
        ),  # order 8
        b"\xed" + b"\xff" * 30 + b"\x7f",  # zero written as the prime
        b"\xff" * 32,
        b"\x02" + bytes(31),  # not on the curve
    ],
    ids=["order 4", "identity", "order 2", "order 8", "non-canonical", "ones", "off the curve"],
)
def test_points_that_would_verify_anything_are_no_public_keys(form, point):
    public = point.hex() if form == "raw" else "ed0120" + point.hex()
    assert not is_public_key(public)
    for signature in (bytes(64), point + bytes(32), point + b"\x01" + bytes(31)):
        assert not verify(public, b"payload", signature)


def test_a_public_key_with_a_part_of_small_order_is_refused():
    key = SigningKey.from_seed(bytes(32))
    twisted = crypto_core_ed25519_add(
        bytes.fromhex(key.public_key), b"\xec" + b"\xff" * 30 + b"\x7f"
    )
    assert not is_public_key(twisted.hex())
    assert not ed25519_sha3.verify(twisted, sha3_256(b"x").digest(), key.sign(b"x"))


@pytest.mark.parametrize(
    "public", ["", "ed0120", "zz" * 32, "12" * 31, "ed0121" + "12" * 32, "é" * 64, "12" * 35]
)
def test_malformed_public_keys_are_a_plain_no(public):
    assert not verify(public, b"payload", bytes(64))
    assert not is_public_key(public)


@pytest.mark.parametrize("form", FORMS)
def test_signatures_of_another_length_are_a_plain_no(form):
    key = SigningKey.from_seed(bytes(32), form)
    signature = key.sign(b"payload")
    for wrong in (b"", signature[:-1], signature + b"\0"):
        assert not verify(key.public_key, b"payload", wrong)


def test_a_seed_of_another_length_and_another_form_are_refused():
    with pytest.raises(InvalidKey, match="32 bytes, not 31"):
        SigningKey.from_seed(bytes(31))
    with pytest.raises(InvalidKey, match="raw or multihash"):
        SigningKey.from_seed(bytes(32), "rsa")


@pytest.mark.parametrize("form", FORMS)
def test_a_key_shows_and_copies_no_secret(form):
    seed = os.urandom(32)
    key = SigningKey.from_seed(seed, form)
    assert seed.hex() not in f"{key!r} {key}"
    assert seed.hex() not in repr(key._expanded)
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not to be"):
            spread(key)


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_key_is_loaded_again_and_only_its_owner_can_read_the_file(tmp_path, form):
    key = SigningKey.generate(os.urandom, form)
    path = tmp_path / "opener.priv"
    save_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = load_key(path)
    assert (loaded.public_key, loaded.seed, loaded.form) == (key.public_key, key.seed, form)


def test_irohas_own_key_files_are_read(tmp_path):
    for content, public in ((ADMIN, ADMIN_PUBLIC), (URSA + URSA_PUBLIC[6:], URSA_PUBLIC)):
        path = tmp_path / f"{public}.priv"
        path.write_text(content)
        path.chmod(0o600)
        assert load_key(path).public_key == public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_open_to_others_is_refused_with_the_cure(tmp_path, mode):
    path = tmp_path / "opener.priv"
    save_key(path, SigningKey.generate(os.urandom))
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        load_key(path)


def test_a_key_file_is_never_overwritten(tmp_path):
    path = tmp_path / "opener.priv"
    key = SigningKey.generate(os.urandom)
    save_key(path, key)
    with pytest.raises(KeyFileError, match="exists"):
        save_key(path, SigningKey.generate(os.urandom))
    assert load_key(path).public_key == key.public_key


@pytest.mark.parametrize(
    "content", ["", "key", ADMIN[:-1], ADMIN + "00", ADMIN + ADMIN, ADMIN + "\n" + ADMIN, "é" * 40]
)
def test_a_damaged_key_file_is_refused_without_showing_it(tmp_path, content):
    path = tmp_path / "opener.priv"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=str(path)) as refused:
        load_key(path)
    assert ADMIN[:20] not in str(refused.value)


def test_a_missing_key_file_is_named(tmp_path):
    with pytest.raises(KeyFileError, match=r"none\.priv cannot be read"):
        load_key(tmp_path / "none.priv")
    with pytest.raises(KeyFileError, match="cannot be written"):
        save_key(tmp_path / "no" / "where.priv", SigningKey.generate(os.urandom))


def test_nonces_are_never_equal_for_different_payloads():
    key = SigningKey.from_seed(bytes(32))
    assert len({key.sign(bytes([n]))[:32] for n in range(50)}) == 50


def test_a_forged_signature_by_a_known_multiple_is_refused():
    """R + B with S + 1 would pass for a verifier that forgot the hash."""
    key = SigningKey.from_seed(bytes(32))
    signature = key.sign(b"payload")
    one = b"\x01" + bytes(31)
    point = crypto_core_ed25519_add(signature[:32], crypto_scalarmult_ed25519_base_noclamp(one))
    forged = point + crypto_core_ed25519_scalar_add(signature[32:], one)
    assert not verify(key.public_key, b"payload", forged)
