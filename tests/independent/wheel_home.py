"""Where the independent client lives: PyPI's `iroha` in a virtual environment of its own.

Its pins exclude everything we run on (protobuf before 3.21 among them), and plainly installed it
does not resolve on Python 3.11; without its dependencies, and with these beside it, it works. So
it is in no lock file. Made once into the git-ignored cache folder, by whichever test process comes
first; an index that cannot be reached fails the tests, since what they prove would be unproven.
"""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PINS = (
    "iroha==1.6.0.2",
    "protobuf==3.20.1",  # the newest that the wheel allows
    "grpcio==1.85.1",
    "pynacl==1.6.2",
    "cffi==2.1.1",
    "pycparser==3.12",
    "typing-extensions==4.16.0",
)
HOME = Path(__file__).parents[2] / ".cache" / "independent-client"
_TIMEOUT_S = 180


def interpreter() -> str:
    """The Python of that environment, made now if it is not there."""
    HOME.mkdir(parents=True, exist_ok=True)
    made = HOME / "made-of"
    pins = "\n".join((sys.version, *PINS))
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.read_text() != pins:
            _make(HOME / "venv")
            made.write_text(pins)
    return str(HOME / "venv" / "bin" / "python")


def _make(venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    python = str(venv / "bin" / "python")
    for step in (
        [*uv, "venv", "-q", "--python", sys.executable, str(venv)],
        [*uv, "pip", "install", "-q", "--python", python, "--no-deps", *PINS],
    ):
        done = subprocess.run(step, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            pytest.fail(
                "the independent client (PyPI's iroha) cannot be installed; is the package index"
                f" reachable?\n{done.stderr[-2000:]}",
                pytrace=False,
            )
