"""Two member banks on one ledger of four peers: a gateway process of each, and peers to spoil.

The peers run in a thread of this process, so that a test can stop one, make one lie and hear them
all; they speak gRPC on loopback like any others. Keys, wallets and money are made by the product's
own commands, as in `stack`.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from people import Person
from process import Process
from stack import HOST, Stack, complete, gateway_environment

from gateway.desk.limits import PACKAGED
from ledger_client.genesis import Bank, Peer, dump_genesis, genesis, pinned
from ledger_client.iroha1 import Iroha1
from ledger_client.keys import SigningKey, load_key
from sim.ledger import LedgerServer, Settings, serve

T = TypeVar("T")
PEERS = 4
WAIT_S = 20.0
NAMES = {"bank": "Mekong", "other": "Other Bank"}


class Network:
    """Four peers of one chain, in a thread and an event loop of their own."""

    def __init__(self, folder: Path, banks: Mapping[str, Path]) -> None:
        """`banks`: by domain, the folder of its keys."""
        self.genesis = folder / "genesis.json"
        self._keys = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, PEERS + 1)]
        self._folder = folder
        peers = [Peer(f"{HOST}:{10001 + at}", key.public_key) for at, key in enumerate(self._keys)]
        issuer = SigningKey.from_seed(b"i" * 32).public_key
        first = genesis([_bank(*one) for one in banks.items()], peers, issuer=issuer)
        dump_genesis(self.genesis, first)
        self._loop = asyncio.new_event_loop()
        self._up: concurrent.futures.Future[LedgerServer] = concurrent.futures.Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="ledger", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._up.result(WAIT_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)

    @property
    def addresses(self) -> Sequence[str]:
        return self._up.result(WAIT_S).addresses

    def tell(self, order: Callable[[LedgerServer], T | Awaitable[T]]) -> T:
        """Do something to the peers, in their own loop."""
        network = self._up.result(WAIT_S)

        async def do() -> T:
            done = order(network)
            return await done if isinstance(done, Awaitable) else done

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(WAIT_S)

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            if not self._up.done():
                self._up.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        first = json.loads(self.genesis.read_text())
        settings = Settings(block_ms=50)
        network = await serve(self._folder / "ledger", first, *self._keys, settings=settings)
        self._up.set_result(network)
        await self._stop.wait()
        await network.stop()


def _bank(domain: str, keys: Path) -> Bank:
    return Bank.of(domain, lambda name: load_key(keys / f"{name}.key").public_key)


class Member(Stack):
    """One bank's gateway; its ledger is the `network` that it shares."""

    def __init__(self, folder: Path, bank: str, network: Network) -> None:
        others = ",".join(f"{domain}={name}" for domain, name in NAMES.items() if domain != bank)
        shared = {
            "GATEWAY_LEDGER_PEERS": ",".join(network.addresses),
            "GATEWAY_LEDGER_GENESIS_FILE": str(network.genesis),
            "GATEWAY_BANK_DOMAIN": bank,
            "GATEWAY_BANK_NAME": NAMES[bank],
            "GATEWAY_MEMBER_BANKS": others,
        }
        nothing = folder / "nothing"
        nothing.mkdir()
        super().__init__(nothing, folder, env=shared)
        self.bank = bank
        self._network = network

    def start_ledger(self) -> None:
        """It runs already."""

    def iroha(self) -> Iroha1:
        key = load_key(self.folder / "keys" / "opener.key")
        trust = pinned(json.loads(self._network.genesis.read_text()))
        return Iroha1(self._network.addresses, f"opener@{self.bank}", key, trust=trust)

    def people(self, everyone: Sequence[Person]) -> None:
        """Their wallets and their money, by `migrate` and `seed`."""
        (self.folder / "limits.toml").write_text(PACKAGED.read_text("utf-8"), "utf-8")
        file = self.folder / "people.toml"
        file.write_text("\n".join(person.toml() for person in everyone), "utf-8")
        for command in (("migrate",), ("seed", str(file))):
            process = self.process(command[0], *command)
            process.start()
            complete(process)
        file.unlink()  # it holds PINs, which are looked for later


@dataclass(frozen=True, slots=True)
class TwoBanks:
    """Everything running."""

    network: Network
    members: list[Member]


@contextlib.contextmanager
def two_banks(folder: Path, people: Mapping[str, Sequence[Person]]) -> Iterator["TwoBanks"]:
    """Both banks with these people, running over one network."""
    places = {}
    for domain in NAMES:
        places[domain] = folder / domain
        places[domain].mkdir(parents=True)
        told = gateway_environment(places[domain])
        making = Process("keys", ["-m", "gateway", "keys", "keys"], told, places[domain])
        making.start()
        complete(making)
    network = Network(folder, {domain: place / "keys" for domain, place in places.items()})
    with contextlib.ExitStack() as running:
        network.start()
        running.callback(network.stop)
        members = [Member(place, domain, network) for domain, place in places.items()]
        for member in members:
            member.people(people[member.bank])
            running.callback(member.stop)
            member.start()
        yield TwoBanks(network, members)
