"""A seed is a whole world: the same one whenever it is asked for."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from simulated_town import live

SEEDS = range(6)


def told(seeds) -> str:
    return sha256("\n".join(str(live(seed)) for seed in seeds).encode()).hexdigest()


def test_a_seed_is_replayed_exactly():
    assert told(SEEDS) == told(SEEDS)


def test_a_seed_is_replayed_exactly_by_another_process_with_other_hashes():
    code = f"from test_replay import *; print(told({SEEDS!r}))"
    env = {"PYTHONHASHSEED": "271828", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == told(SEEDS), done.stderr


def test_one_payment_goes_to_its_receipts():
    history = next(one for one in map(live, range(100)) if _paid_once(one))
    (paid,) = history.rows["transfer"]
    told = {number for _, number, text in history.of("sms") if f"Ref {paid['ref']}" in text}
    assert told >= {paid["src_msisdn"], paid["dest_msisdn"]} & history.accounts.keys()


def _paid_once(history) -> bool:
    return [row["state"] for row in history.rows["transfer"]] == ["committed"]
