"""Files with public keys: their name says what they hold, since a seed looks just the same."""

import pytest

from ledger_client.keys import (
    KeyFileError,
    SigningKey,
    load_public_key,
    save_key,
    save_public_key,
)

SEED = bytes(range(32))


@pytest.fixture(params=["raw", "multihash"])
def key(request) -> SigningKey:
    return SigningKey.from_seed(SEED, request.param)


def test_a_public_key_comes_back(tmp_path, key):
    save_public_key(tmp_path / "a.pub", key)
    assert load_public_key(tmp_path / "a.pub") == key.public_key
    assert SEED.hex() not in (tmp_path / "a.pub").read_text()


@pytest.mark.parametrize("name", ["a.key", "a.priv"])
def test_of_a_secret_file_the_public_half_is_taken(tmp_path, key, name):
    save_key(tmp_path / name, key)
    assert load_public_key(tmp_path / name) == key.public_key
    (tmp_path / name).chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_public_key(tmp_path / name)


@pytest.mark.parametrize("name", ["a", "a.txt", "pub"])
def test_no_other_name_is_trusted(tmp_path, key, name):
    save_key(tmp_path / name, key)
    with pytest.raises(KeyFileError, match="ends in"):
        load_public_key(tmp_path / name)


@pytest.mark.parametrize("content", ["", "ab" * 31, "00" * 32, "é" * 64, "ed0120" + "00" * 32])
def test_what_is_no_public_key_is_refused_and_not_repeated(tmp_path, content):
    file = tmp_path / "a.pub"
    file.write_text(content)
    with pytest.raises(KeyFileError, match="holds no public key") as refused:
        load_public_key(file)
    assert not content or content not in str(refused.value)


def test_nothing_is_overwritten(tmp_path, key):
    save_public_key(tmp_path / "a.pub", key)
    with pytest.raises(KeyFileError, match="exists"):
        save_public_key(tmp_path / "a.pub", key)
    with pytest.raises(KeyFileError, match="cannot be written"):
        save_public_key(tmp_path / "nowhere" / "a.pub", key)
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_public_key(tmp_path / "b.pub")
