"""A whole world of real processes on loopback: development ledger, gateways, a carrier's REST API.

`make_world` builds the folder that every stack starts from, once for a test run and by the
product's own commands: keys, ledger, migrated database, people and their money. A `Stack` is a
copy of it with processes: any of them may be killed, frozen and started again.
"""

import http.client
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from carrier import Carrier
from people import BANK, TIGHT_LIMITS, Person, crowd
from ports import quiet_port
from process import Ended, Process
from sqlalchemy import Engine, create_engine, delete, insert, make_url, select, text
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from gateway.desk.limits import PACKAGED
from gateway.stores.migrate import migrate
from gateway.stores.tables import Message, table_of
from ledger_client.genesis import Bank, Peer, dump_genesis, genesis
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey, load_key, save_key
from sim.services import Account

HOST = "127.0.0.1"
SECRET = "e2e-callback-secret-0123456789"
SERVICE_CODE, SHORTCODE = "*855#", "855"
LEDGER_WAIT_S = 3.0


class Stack:
    """The processes over one folder. `redis_url` and several gateways need `database_url`."""

    def __init__(
        self,
        world: Path,
        folder: Path,
        *,
        gateways: int = 1,
        database_url: str | None = None,
        redis_url: str | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        shutil.copytree(world, folder, dirs_exist_ok=True)
        self.database_url = database_url or f"sqlite:///{folder / 'gateway.db'}"
        if database_url:
            _copy_rows(f"sqlite:///{folder / 'gateway.db'}", database_url)
        self.redis_url = redis_url
        self.ledger_port, self.rest_port = quiet_port(), quiet_port()
        self.gateway_ports = [quiet_port() for _ in range(gateways)]
        self.account = Account("sandbox", secrets.token_hex(16))
        self.env = self._environment() | (env or {})
        self.ledger = Process("ledger", _ledger_command(folder, self.ledger_port), {}, folder)
        self.gateways = [
            self.process(f"gateway{number}", "serve", GATEWAY_PORT=str(port))
            for number, port in enumerate(self.gateway_ports)
        ]
        self.carrier = Carrier(self.rest_port, self.callbacks(), self.account)
        self.secrets: set[str] = set()  # what must never be found again
        self._strangers = list(crowd())

    # --- starting and stopping

    def start(self) -> None:
        self.start_ledger()
        for process in self.gateways:
            process.start()
        self.carrier.start()
        for number in range(len(self.gateways)):
            self.wait_for_gateway(number)
            self.wait_until_signing(number)

    def start_ledger(self) -> None:
        start_ledger(self.ledger, self.ledger_port)

    def start_gateway(self, number: int = 0) -> None:
        self.gateways[number].start()
        self.wait_for_gateway(number)

    def wait_for_gateway(self, number: int = 0) -> None:
        self.gateways[number].ready(lambda: fetch(self.gateway_ports[number], "/ready")[0] == 200)

    def wait_until_signing(self, number: int = 0) -> None:
        """Until it has met the end of the chain, for which the ledger must be there."""
        port = self.gateway_ports[number]
        self.gateways[number].ready(lambda: '"payments": "ok"' in fetch(port, "/ready")[1])

    def heal(self) -> None:
        """All processes run and answer, whatever a test that failed has left behind."""
        self.ledger.thaw()
        if not self.ledger.running:
            self.start_ledger()
        for number, process in enumerate(self.gateways):
            process.thaw()
            if not process.running:
                self.start_gateway(number)
            self.wait_until_signing(number)

    def stop(self) -> None:
        for process in self.gateways:
            process.stop()
        self.ledger.stop()
        self.carrier.stop()

    def process(self, name: str, *arguments: str, **settings: str) -> Process:
        """A command of `ussd-gateway` with this stack's settings; not started."""
        return Process(name, ["-m", "gateway", *arguments], self.env | settings, self.folder)

    # --- where things are

    def gateway_url(self, number: int = 0) -> str:
        return f"http://{HOST}:{self.gateway_ports[number]}"

    def callbacks(self, number: int = 0) -> str:
        return f"{self.gateway_url(number)}/africastalking/{SECRET}"

    def person(self, tier: str = "partial") -> Person:
        """Somebody whom no other test of this stack has met."""
        found = next((person for person in self._strangers if person.tier == tier), None)
        assert found is not None, f"no stranger is left: people.py invents too few of {tier}"
        return self.named(found)

    def named(self, person: Person) -> Person:
        """Somebody in particular, of whom no other test may ask."""
        self._strangers.remove(person)
        return person

    def iroha(self) -> Iroha1:
        """The ledger as the opener may see it; to be closed."""
        key = load_key(self.folder / "keys" / "opener.key")
        return Iroha1([f"{HOST}:{self.ledger_port}"], f"opener@{BANK}", key)

    def rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        """What the database says now."""
        with _engine(self.database_url).connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def change(self, statement: str, account: str) -> None:
        """Write to the rows of one account, as if time had passed."""
        with _engine(self.database_url).begin() as connection:
            connection.execute(text(statement), {"account": account})

    def logs(self) -> Iterator[tuple[str, str]]:
        """Name and end of every process's log."""
        for process in (self.ledger, *self.gateways):
            yield process.name, process.tail()

    def _environment(self) -> dict[str, str]:
        return gateway_environment(self.folder) | {
            "GATEWAY_DATABASE_URL": self.database_url,
            "GATEWAY_REDIS_URL": self.redis_url or "",
            "GATEWAY_LEDGER_PEERS": f"{HOST}:{self.ledger_port}",
            "GATEWAY_LEDGER_WAIT_S": str(LEDGER_WAIT_S),
            "GATEWAY_AFRICASTALKING_URL": f"http://{HOST}:{self.rest_port}",
            "GATEWAY_AFRICASTALKING_USER": self.account.username,
            "GATEWAY_AFRICASTALKING_KEY": self.account.api_key,
        }


def gateway_environment(folder: Path) -> dict[str, str]:
    """What every gateway command over this folder is told."""
    keys = folder / "keys"
    return {
        "GATEWAY_ENV": "development",
        "GATEWAY_HOST": HOST,
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder / 'gateway.db'}",
        "GATEWAY_CALLBACK_SECRET": SECRET,
        "GATEWAY_SERVICE_CODE": SERVICE_CODE,
        "GATEWAY_SHORTCODE": SHORTCODE,
        "GATEWAY_BANK_DOMAIN": BANK,
        "GATEWAY_OPENER_KEY_FILE": str(keys / "opener.key"),
        "GATEWAY_TREASURY_KEY_FILE": str(keys / "treasury.key"),
        "GATEWAY_KEK_FILE": str(keys / "kek.toml"),
        "GATEWAY_LEDGER_GENESIS_FILE": str(folder / "ledger" / "genesis.json"),
        "GATEWAY_LIMITS_FILE": str(folder / "limits.toml"),
        # The least that libsodium takes: thousands of PINs are typed here.
        "GATEWAY_ARGON2_MIB": "1",
        "GATEWAY_ARGON2_OPS": "1",
        "GATEWAY_WRONG_PINS_PER_MINUTE": "10000",  # all those people are one block of numbers
        "PYTHONUTF8": "1",
    }


def fetch(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET on loopback; 0 when nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


# --- the world


def make_world(folder: Path, everyone: Iterable[Person] | None = None) -> None:
    """Everything a stack starts from, at rest; `everyone` else than the tests' crowd, if given."""
    folder.mkdir(mode=0o700)
    (folder / "limits.toml").write_text(PACKAGED.read_text("utf-8") + TIGHT_LIMITS, "utf-8")
    people = folder / "people.toml"
    holders = [p for p in everyone or crowd() if p.riel is not None]
    people.write_text("\n".join(p.toml() for p in holders), "utf-8")
    port = quiet_port()
    env = gateway_environment(folder) | {
        "GATEWAY_LEDGER_PEERS": f"{HOST}:{port}",
        "GATEWAY_AFRICASTALKING_URL": f"http://{HOST}:9",  # nobody is told that a wallet is open
    }
    commands = [("migrate",), ("keys", str(folder / "keys")), ("seed", str(people))]
    migrating, keys, seeding = (
        Process(command[0], ["-m", "gateway", *command], env, folder) for command in commands
    )
    ledger = Process("seed-ledger", _ledger_command(folder, port, block_ms=40), {}, folder)
    try:
        migrating.start()
        keys.start()
        complete(keys)
        _make_genesis(folder)
        start_ledger(ledger, port)
        complete(migrating)
        seeding.start()
        complete(seeding)
    finally:
        for process in (migrating, keys, seeding, ledger):
            process.stop()
    people.unlink()  # it holds PINs, which are looked for later
    with _engine(env["GATEWAY_DATABASE_URL"]).begin() as connection:
        connection.execute(delete(table_of(Message)))


def complete(process: Process) -> None:
    if process.wait(60.0) != 0:
        raise Ended(f"{process.name} failed\n{process.tail()}")


def start_ledger(ledger: Process, port: int) -> None:
    """Start it and wait until it listens: it says so."""
    begun = ledger.log.stat().st_size if ledger.log.exists() else 0
    ledger.start()
    ledger.ready(lambda: f":{port}," in ledger.log.read_text("utf-8", "replace")[begun:])


def _ledger_command(folder: Path, port: int, *, block_ms: int = 200) -> Sequence[str]:
    place = folder / "ledger"
    return [
        *("-m", "sim.ledger", "--data", str(place), "--port", str(port)),
        *("--genesis", str(place / "genesis.json"), "--peer-key", str(place / "peer.key")),
        *("--block-ms", str(block_ms)),
    ]


def _make_genesis(folder: Path) -> None:
    place = folder / "ledger"
    place.mkdir()
    chance = secrets.token_bytes

    def public(path: Path) -> str:
        if not path.exists():
            save_key(path, SigningKey.generate(chance))
        return load_key(path).public_key

    bank = Bank.of(BANK, lambda name: public(folder / "keys" / f"{name}.key"))
    peer = Peer(f"{HOST}:10001", public(place / "peer.key"))
    block = genesis([bank], [peer], issuer=public(place / "issuer.key"))
    dump_genesis(place / "genesis.json", block)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, poolclass=NullPool)


def _copy_rows(source: str, target: str) -> None:
    """Bring a seeded SQLite database to an empty PostgreSQL one."""
    migrate(target)
    with _engine(source).connect() as old, _engine(target).begin() as new:
        for table in SQLModel.metadata.sorted_tables:
            if rows := [dict(row) for row in old.execute(select(table)).mappings()]:
                new.execute(insert(table), rows)
