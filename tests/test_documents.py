"""Documents that cannot lie: what the README names exists. (Its map: tests/menus/test_lint.py.)"""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.__main__ import app as gateway
from sim.__main__ import app as sim

ROOT = Path(__file__).parents[1]
PROGRAMS = {"ussd-gateway": gateway, "ussd-sim": sim}
SHARED = ("conftest.py", "__main__.py")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(
    "path",
    sorted(set(re.findall(r"`((?:menus|gateway|ledger_client|sim|tests)/[\w./]+)`", README))),
)
def test_every_file_the_readme_names_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z]+)", README))))
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"ussd-(?:gateway|sim) [a-z]+", README))))
def test_every_command_of_the_readme_exists(command):
    program, name = command.split()
    told = CliRunner().invoke(PROGRAMS[program], [name, "--help"])
    assert told.exit_code == 0, told.output


def test_the_lock_files_name_no_registry():
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_every_dependency_of_the_project_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for dependency in project["dependencies"]:
        name = re.split(r"[\[>=<]", dependency)[0]
        assert re.search(rf"^{re.escape(name)}(\[\w+\])?==", locked, re.MULTILINE), name


def test_no_two_test_files_share_a_name():
    """Test folders are no packages, so a second file of a name would hide the first."""
    names = [file.name for file in (ROOT / "tests").rglob("*.py") if file.name not in SHARED]
    assert len(names) == len(set(names))
