"""`python tests/faults` says at once what it cannot do."""

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, str(Path(__file__).with_name("__main__.py"))]
SOON_S = 30


def test_a_module_that_is_not_there_is_refused_before_any_test_runs():
    asked = [*COMMAND, "--mutants", "gateway/desk/nowhere.py"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=SOON_S, check=False)
    assert done.returncode == 2
    assert "there is no gateway/desk/nowhere.py" in done.stderr
