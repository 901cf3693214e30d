"""The command line: `ussd-sim up | serve | phone | peer | run`."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from sim.children import ChildFailed
from sim.founding import CannotStart
from sim.lines import DirectLine, Line, LineError, SimulatorLine
from sim.manners import Manner
from sim.people import PEOPLE, load_people
from sim.phone import TerminalPhone, international, typed_lines
from sim.record import Recorder
from sim.run import SMS_WAIT_S, run_files
from sim.serve import HOST, Serving, network_for, simulator
from sim.services import Application, Service
from sim.templates import literal
from sim.transcript import NUMBER, write
from sim.up import world_up
from sim.world import BANKS_MOST, SECRET, World

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Phones, a carrier network and a development ledger on your own machine.",
)
out = Console()
err = Console(stderr=True)

SIMULATOR = f"http://{HOST}:8800"
Sim = Annotated[str, typer.Option("--sim", help="The running simulator.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Go straight to this USSD callback URL instead; no SMS then."),
]
ServiceCode = Annotated[str, typer.Option(help="The USSD code of the application.")]
PORT_MAX = 65535
Port = Annotated[int, typer.Option(min=1, max=PORT_MAX, help="Port of the simulator.")]


@app.command()
def up(
    state: Annotated[Path, typer.Option(help="Folder that everything is kept in.")] = Path(
        ".state"
    ),
    port: Port = 8800,
    gateway_port: Annotated[
        int, typer.Option(min=1, max=PORT_MAX, help="Port of the gateway.")
    ] = 8855,
    ledger_port: Annotated[
        int, typer.Option(min=1, max=PORT_MAX, help="Port of the development ledger.")
    ] = 50051,
    *,
    people: Annotated[Path, typer.Option(help="Who lives there.")] = PEOPLE,
    peers: Annotated[
        int, typer.Option(min=1, max=16, help="Peers of the ledger, on consecutive ports.")
    ] = 1,
    banks: Annotated[
        int,
        typer.Option(
            min=1, max=BANKS_MOST, help="Member banks; their gateways are on consecutive ports."
        ),
    ] = 1,
) -> None:
    """Start ledger, gateway and simulator on loopback; Ctrl-C stops them."""
    ports = port, gateway_port, ledger_port
    _run(_up(World(state.resolve(), people.resolve(), *ports, peers=peers, banks=banks)))


async def _up(world: World) -> None:
    async with world_up(world, out) as running:
        out.print(_welcome(world, running.gateway_pids))
        await running.ends


def _welcome(world: World, gateway_pids: list[int]) -> Panel:
    phones = f"http://{HOST}:{world.port}"
    pin = load_people(world.people).pin
    sim = "" if phones == SIMULATOR else f" --sim {phones}"
    first, *others = zip(world.members, gateway_pids, strict=True)
    words = Text.assemble(
        ("Phones   ", "dim"), (phones, "bold underline"), "\n",
        ("Gateway  ", "dim"), f"{first[0].url} (process {first[1]})\n",
        *(
            f"         {member.url} (process {pid}) of {member.bank.name}\n"
            for member, pid in others
        ),
        ("Ledger   ", "dim"), f"{', '.join(world.ledger_addresses)} (Iroha 1 over gRPC)\n",
        ("Logs     ", "dim"), f"{world.log('gateway').parent}\n\n",
        "Open the phones, dial ", ("*855#", "bold"), ", send 5,000 riel to 012 345 602.\n",
        "Everyone's PIN is ", (pin, "bold"),
        ". By SMS: ", ("SEND 5000 012345602", "bold"), " to 855.\n",
        ACROSS if others else "",
        "In another terminal:\n  ", (f"{_program()} phone +85512345601{sim}", "bold"), "\n",
        "Stop with Ctrl-C.",
    )  # fmt: skip
    return Panel(words, title="running", title_align="left", border_style="green", expand=False)


ACROSS = (
    "Across banks: send to 012 345 611, or to 012 345 603 with a wallet at each.\n"
    "Tonle Bank's code is *856#. To a bank account: *855*7#.\n"
)


def _program() -> str:
    """This command as it can be typed in the folder we were started in."""
    beside = Path(sys.executable).with_name("ussd-sim")
    if not beside.exists():
        return f"{sys.executable} -m sim"
    with contextlib.suppress(ValueError):
        return str(beside.relative_to(Path.cwd()))
    return str(beside)


@app.command()
def serve(
    url: Annotated[
        str, typer.Option(help="USSD callback URL of any application in Africa's Talking's form.")
    ] = f"http://{HOST}:8855/africastalking/{SECRET}/ussd",
    *,
    sms_url: Annotated[str, typer.Option(help="Its callback URL for SMS.")] = "",
    delivery_url: Annotated[str, typer.Option(help="Its URL for delivery reports.")] = "",
    events_url: Annotated[str, typer.Option(help="Its URL for ends of sessions.")] = "",
    port: Port = 8800,
    service_code: ServiceCode = "*855#",
    shortcode: Annotated[str, typer.Option(help="The number people text.")] = "855",
) -> None:
    """Only the phones and the network, in front of an application that runs already."""
    application = Application(url, sms_url, delivery_url, events_url)
    everyone = load_people().everyone
    service = Service(application, service_code, shortcode, people=everyone)
    serving = Serving((service,), port=port)

    async def forever() -> None:
        async with simulator(serving):
            out.print(f"Phones on [bold]http://{HOST}:{port}[/], towards {url}", highlight=False)
            out.print(f"Its SMS go to http://{HOST}:{port}/version1/messaging", highlight=False)
            await asyncio.Event().wait()

    _run(forever())


@app.command()
def phone(
    number: Annotated[str, typer.Argument(help="The phone's number: +85512345601 or 012345601.")],
    sim: Sim = SIMULATOR,
    url: Url = None,
    service_code: ServiceCode = "*855#",
    record: Annotated[
        Path | None, typer.Option(help="Write what happens as a transcript (no PIN in it).")
    ] = None,
) -> None:
    """Use a phone here in the terminal."""
    number = international(number)
    if not NUMBER.fullmatch(number):
        raise typer.BadParameter(
            "a phone number is written +85512345601 or 012345601", param_hint="NUMBER"
        )
    recorder = Recorder(literal(f"A session of {number}"), number) if record else None

    async def use() -> None:
        async with _line(sim, url, service_code) as line:
            typed = typed_lines(asyncio.get_running_loop(), sys.stdin.fileno())
            await TerminalPhone(line, number, out, recorder=recorder).run(typed)

    try:
        _run(use())
    finally:
        if record and recorder:
            record.write_text(write(recorder.transcript), encoding="utf-8")


@app.command()
def peer(
    number: Annotated[int | None, typer.Argument(help="Which peer, from 1; all are told.")] = None,
    manner: Annotated[Manner, typer.Argument(help="What it is from now on.")] = Manner.UP,
    *,
    sim: Sim = SIMULATOR,
) -> None:
    """See how the ledger's peers behave; stop one, start it again, make it slow or lie."""

    async def order() -> None:
        async with aiohttp.ClientSession(trust_env=False) as http:
            line = SimulatorLine(http, sim)
            told = await (line.peers() if number is None else line.peer(number, manner))
        for each in told["peers"]:
            out.print(f"{each['number']}  {each['address']}  {each['manner']}", highlight=False)

    _run(order())


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", hidden=True)],
    *,
    sim: Sim = SIMULATOR,
    url: Url = None,
    service_code: ServiceCode = "*855#",
    pin: Annotated[str | None, typer.Option(help="What {pin} stands for.")] = None,
    sms_wait: Annotated[float, typer.Option(help="Seconds to wait for an SMS.")] = SMS_WAIT_S,
) -> None:
    """Play transcript FILEs and say where what happens differs; exit code 1 if it does."""

    async def play() -> int:
        holes = {"pin": pin or load_people().pin}
        async with _line(sim, url, service_code) as line:
            return await run_files(files, line, out, holes=holes, sms_wait_s=sms_wait)

    failed = _run(play())
    if failed:
        raise typer.Exit(1)


@contextlib.asynccontextmanager
async def _line(sim: str, url: str | None, service_code: str) -> AsyncIterator[Line]:
    if url is None:
        async with aiohttp.ClientSession(trust_env=False) as http:
            yield SimulatorLine(http, sim)
    else:
        serving = Serving((Service(Application(url), service_code),))
        async with network_for(serving) as network:
            yield DirectLine(network)


def _run(work: Coroutine[Any, Any, int | None]) -> int:
    """Run to its end, to Ctrl-C or to SIGTERM; explain what a person can mend."""

    async def until_stopped() -> int | None:
        task = asyncio.ensure_future(work)
        # SIGTERM stops as Ctrl-C does; asyncio itself sees to SIGINT.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(until_stopped()) or 0
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print("\n[dim]stopped[/]")
    except ChildFailed as error:
        err.print(Panel(Text(error.last_lines()), title="the end of its log", border_style="red"))
        err.print(Text(str(error), "red"), soft_wrap=True)
        err.print("`make run` starts everything again and settles what was begun.")
        raise typer.Exit(1) from None
    except (CannotStart, LineError, OSError) as error:
        err.print(Text(str(error), "red"))
        raise typer.Exit(2) from None
    return 0


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
