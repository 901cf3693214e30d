"""Where everything of a development world is: folders, ports, banks, and what gateways are told.

Values only; `up` starts what is named here. One bank is a world of its own. A second one shares
the ledger and nothing else: its gateway, keys, database and codes are its own.
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sim.children import clean_environment
from sim.founding import CannotStart
from sim.people import PEOPLE, load_people
from sim.serve import HOST
from sim.services import Account, Application, Service

SECRET: Final = "local"  # noqa: S105  # development only, and the issue names it
USERNAME: Final = "sandbox"


@dataclass(frozen=True, slots=True)
class Bank:
    """A member bank: its domain on the ledger, and what people call, dial and text."""

    domain: str
    name: str
    service_code: str
    shortcode: str


FIRST: Final = Bank("bank", "Mekong Bank", "*855#", "855")
OTHERS: Final = (Bank("tonle", "Tonle Bank", "*856#", "856"),)
BANKS_MOST: Final = 1 + len(OTHERS)


@dataclass(frozen=True, slots=True)
class Member:
    """One bank of this world: where its things are, and where its gateway listens."""

    bank: Bank
    folder: Path
    port: int
    people: Path

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def service(self, api_key: str, *, alone: bool) -> Service:
        """Its gateway, as the network sees it; where banks are several, people name theirs."""
        return Service(
            Application.under(f"{self.url}/africastalking/{SECRET}"),
            self.bank.service_code,
            self.bank.shortcode,
            Account(USERNAME, api_key),
            load_people(self.people, at="" if alone else self.bank.name).everyone,
        )


@dataclass(frozen=True, slots=True)
class World:
    """Where everything is."""

    state: Path
    people: Path
    port: int = 8800
    gateway_port: int = 8855
    ledger_port: int = 50051
    peers: int = 1
    banks: int = 1

    @property
    def genesis(self) -> Path:
        return self.state / "ledger" / "genesis.json"

    @property
    def members(self) -> list[Member]:
        """The first keeps its things in `state` itself, as if it were the only one."""
        first = Member(FIRST, self.state, self.gateway_port, self.people)
        others = (
            Member(
                bank,
                self.state / bank.domain,
                self.gateway_port + number,
                PEOPLE.with_stem(f"people_{bank.domain}"),
            )
            for number, bank in enumerate(OTHERS[: self.banks - 1], start=1)
        )
        return [first, *others]

    @property
    def ledger_ports(self) -> range:
        """One for each peer."""
        return range(self.ledger_port, self.ledger_port + self.peers)

    @property
    def ledger_addresses(self) -> list[str]:
        return [f"{HOST}:{port}" for port in self.ledger_ports]

    @property
    def peer_keys(self) -> list[Path]:
        """Each peer's key file; the first is named as if it were the only one."""
        names = ["peer", *(f"peer{number}" for number in range(2, self.peers + 1))]
        return [self.genesis.with_name(f"{name}.key") for name in names]

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def check_ports(self) -> None:
        """Raise `CannotStart` naming every port that somebody else has."""
        wanted = (
            (self.port, "simulator", "--port", "SIM_PORT"),
            *(
                (member.port, "gateway", "--gateway-port", "GATEWAY_PORT")
                for member in self.members
            ),
            *(
                (port, "development ledger", "--ledger-port", "LEDGER_PORT")
                for port in self.ledger_ports
            ),
        )
        if len({port for port, *_ in wanted}) != len(wanted):
            raise CannotStart(
                "simulator, each gateway and each peer of the ledger need different ports"
            )
        taken = [
            f"Port {port} is taken and the {who} needs it: choose another with {option} {port + 1}"
            f" (make run {variable}={port + 1})"
            for port, who, option, variable in wanted
            if not _is_free(port)
        ]
        if taken:
            raise CannotStart("\n".join(taken))

    def gateway_environment(self, member: Member, api_key: str) -> dict[str, str]:
        """What a gateway is told. What the person has set stays, but for how parts find parts."""
        own = {
            "GATEWAY_DATABASE_URL": f"sqlite:///{member.folder / 'gateway.db'}",
            "GATEWAY_BANK_NAME": member.bank.name,
        }
        usual = {
            "GATEWAY_ARGON2_THREADS": "2",
            # One person plays everybody here: the bound for a real number is soon reached.
            "GATEWAY_SMS_REPLIES_PER_HOUR": "1000",
        }
        fixed = {
            "GATEWAY_ENV": "development",
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(member.port),
            "GATEWAY_LEDGER_PEERS": ",".join(self.ledger_addresses),
            "GATEWAY_LEDGER_GENESIS_FILE": str(self.genesis),
            "GATEWAY_AFRICASTALKING_URL": f"http://{HOST}:{self.port}",
            "GATEWAY_AFRICASTALKING_USER": USERNAME,
            "GATEWAY_AFRICASTALKING_KEY": api_key,
            "GATEWAY_CALLBACK_SECRET": SECRET,
            "GATEWAY_SERVICE_CODE": member.bank.service_code,
            "GATEWAY_SHORTCODE": member.bank.shortcode,
            "GATEWAY_BANK_DOMAIN": member.bank.domain,
            "GATEWAY_OPENER_KEY_FILE": str(member.keys / "opener.key"),
            "GATEWAY_TREASURY_KEY_FILE": str(member.keys / "treasury.key"),
            "GATEWAY_KEK_FILE": str(member.keys / "kek.toml"),
        }
        if self.banks > 1:
            others = (one.bank for one in self.members if one != member)
            named = ",".join(f"{bank.domain}={bank.name}" for bank in others)
            fixed["GATEWAY_MEMBER_BANKS"] = named
        if member.bank is not FIRST:  # what is set is set for one gateway; two cannot share it
            fixed |= own | {"GATEWAY_REDIS_URL": "", "GATEWAY_ADMIN_PORT": ""}
        return {**own, **usual, **clean_environment(), **fixed}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
