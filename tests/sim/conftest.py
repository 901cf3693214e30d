"""A tiny application in Africa's Talking's form, and a simulator in front of it.

It is a legitimate peer: the network must drive any such application, not only our gateway.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from desk_page import CHROMIUM
from going import going
from playwright.async_api import async_playwright
from ports import quiet_ports

from sim.africastalking import RestApi
from sim.callbacks import Poster
from sim.ledger_view import LedgerView
from sim.network import Network
from sim.peers import Peers
from sim.people import load_people
from sim.services import Account, Application, Service
from sim.web.app import build_app

HOME = "1 Send\n2 Change PIN"


def pytest_collection_modifyitems(items):
    """One event loop for all of them: see `going`."""
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass
class Demo:
    """Answers by the last reply; remembers every form it got."""

    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seen_headers: list[dict[str, str]] = field(default_factory=list)
    sms_statuses: list[int] = field(default_factory=list)

    def build(self) -> web.Application:
        app = web.Application()
        for name in ("ussd", "sms", "delivery", "events"):
            app.router.add_post(f"/at/{name}", getattr(self, name))
        return app

    async def _take(self, kind, request):
        form = dict(await request.post())
        self.forms.append((kind, form))
        self.seen_headers.append(dict(request.headers))
        return form

    async def ussd(self, request):
        form = await self._take("ussd", request)
        text = form["text"]
        if text in self.answers:
            answer = self.answers[text]
        else:
            answer = {
                0: f"CON {HOME}",
                1: "CON Send to which number?",
                2: "CON Pay 5 to S*** D***\nEnter your PIN",
                3: "END Sent. Ref R1",
            }[len(text.split("*")) if text else 0]
        status, _, body = answer.partition("|") if answer[:3].isdigit() else ("200", "", answer)
        return web.Response(status=int(status), text=body, headers=self.headers)

    async def sms(self, request):
        await self._take("sms", request)
        return web.Response(status=self.sms_statuses.pop(0) if self.sms_statuses else 200)

    async def delivery(self, request):
        await self._take("delivery", request)
        return web.Response()

    async def events(self, request):
        await self._take("events", request)
        return web.Response()

    def of(self, kind):
        return [form for name, form in self.forms if name == kind]


class Time:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1_764_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def demo():
    return Demo()


@pytest.fixture
def now():
    return Time()


@going()
async def base(demo):
    server = TestServer(demo.build())
    await server.start_server()
    yield str(server.make_url("/at"))
    await server.close()


@going()
async def carrier(now):
    """Makes networks, of the services it is told."""
    count = itertools.count(1)
    made = []

    def of(*services):
        network = Network(
            services, Poster(http), now=now, entropy=lambda n: next(count).to_bytes(n, "big")
        )
        made.append(network)
        return network

    async with aiohttp.ClientSession() as http:
        yield of
        for network in made:
            await network.tower.close()


@going()
async def network(base, carrier):
    account = Account("sandbox", "a-key")
    people = load_people().everyone
    return carrier(Service(Application.under(base), account=account, people=people))


@pytest.fixture
def rest(network):
    return RestApi(network)


@pytest.fixture
def view():
    return LedgerView()


@pytest.fixture
def orders():
    """What the ledger was told."""
    return []


@pytest.fixture
def peers(orders):
    return Peers([f"127.0.0.1:{50051 + number}" for number in range(4)], orders.append, 3)


@going()
async def simulator(network, rest, view, peers):
    """The whole page and API; its base URL."""
    server = TestServer(build_app(network, rest, view, peers))
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


@going(scope="session")
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@pytest.fixture
def ports():
    """Three free ones, of simulator, gateway, ledger, and room behind the last two for more."""
    first = quiet_ports()[0]
    return first, first + 1, first + 3
