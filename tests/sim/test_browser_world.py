"""The page in headless Chromium, in front of the real gateway and the development ledger."""

from desk_page import needs_chromium, opened, phone, press, turn
from going import going
from playwright.async_api import expect
from rich.console import Console

from sim.people import PEOPLE
from sim.up import world_up
from sim.world import World

DARA, THIDA, BOPHA = "+85512345601", "+85512345602", "+85512345605"
# Argon2, a follower's round and a first render, on a busy machine.
WAIT_MS = 20_000

pytestmark = needs_chromium


@going()
async def page(browser, tmp_path, ports, monkeypatch):
    monkeypatch.setenv("GATEWAY_ARGON2_MIB", "1")
    monkeypatch.setenv("GATEWAY_ARGON2_OPS", "1")
    expect.set_options(timeout=WAIT_MS)
    world = World(tmp_path / "state", PEOPLE, *ports)
    async with (
        world_up(world, Console(quiet=True)) as running,
        opened(browser, f"http://127.0.0.1:{world.port}") as page,
    ):
        await phone(page, DARA).wait_for()
        yield page
        assert not running.ends.done()
        running.ends.cancel()
    expect.set_options(timeout=5_000)


def riel(page, msisdn):
    row = page.locator("#ledger tr", has_text=f"{msisdn.removeprefix('+')}@bank")
    return row.locator("td").first


async def read_newest(handset):
    await press(handset, ["end", "left", "left"])
    await expect(handset).to_have_attribute("data-view", "message")
    return handset.locator(".page")


async def test_money_is_sent_and_a_wallet_is_opened_by_the_keys_of_phones(page):
    dara, thida = phone(page, DARA), phone(page, THIDA)
    await expect(riel(page, DARA)).to_have_text("400,000")
    await expect(riel(page, THIDA)).to_have_text("50,000")
    told = {one: await one.locator(".mail b").text_content() for one in (dara, thida)}

    await turn(dara, "*855#", "1 Send money")
    await turn(dara, "1", "Send to which number?")
    await turn(dara, "012345602", "1 Riel (KHR)")
    await turn(dara, "1", "How much, in KHR?")
    await turn(dara, "5000", "PIN to confirm")
    await expect(dara.locator(".page")).to_contain_text("Send 5,000 KHR to C*** T***")
    await turn(dara, "730264", "Sent 5,000 KHR to C*** T*** ..602. Ref ")

    for one, before in told.items():
        await expect(one.locator(".mail b")).to_have_text(str(int(before) + 1))
    await expect(riel(page, DARA)).to_have_text("395,000")
    await expect(riel(page, THIDA)).to_have_text("55,000")
    await expect(await read_newest(dara)).to_contain_text("Sent 5,000 KHR")
    await expect(await read_newest(thida)).to_contain_text("5,000")
    await expect(page.locator("#wire")).to_contain_text("••••")
    await expect(page.locator("#wire")).not_to_contain_text("730264")

    await page.get_by_role("button", name="Nuon Bopha").click()
    bopha = phone(page, BOPHA)
    await turn(bopha, "*855#", "1 English")
    await turn(bopha, "1", "1 Open a wallet")
    await turn(bopha, "1", "Choose a PIN of 6 digits")
    await turn(bopha, "582913", "Type the PIN again")
    await turn(bopha, "582913", "Your wallet is open.")
    await expect(bopha.locator(".mail b")).to_have_text("1")
    await expect(await read_newest(bopha)).to_contain_text("wallet is open. Dial *855#")
    await expect(page.locator("#ledger")).to_contain_text("85512345605@bank")
