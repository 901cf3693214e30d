"""The people of the development world, as `people.toml` names them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PEOPLE = Path(__file__).with_name("people.toml")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone with a phone; `about` is what the simulator says of them."""

    msisdn: str
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class People:
    """Everyone, and the PIN they all start with."""

    pin: str
    everyone: tuple[Person, ...]


def load_people(path: Path = PEOPLE, at: str = "") -> People:
    """Read the file; a missing name or number is a `KeyError` that names it.

    `at` is the bank they are told to be with, where there are several.
    """
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    everyone = (Person(p["msisdn"], p["name"], _about(p, at)) for p in read["people"])
    return People(read.get("pin", ""), tuple(everyone))


def _about(person: dict[str, object], at: str) -> str:
    if "holds" not in person:
        return "starts without a wallet"
    bank = f" at {at}" if at else ""
    if "till" in person:
        return f"merchant{bank}, till {person['till']}"
    language = " · Khmer" if person.get("language") == "km" else ""
    return f"{person.get('role', 'subscriber')}{bank}{language}"
