"""The page in headless Chromium, in front of the tiny application."""

import pytest
from desk_page import needs_chromium, opened, phone, press, turn
from going import going
from playwright.async_api import expect

from ledger_client.ledger import (
    AddAssetQuantity,
    Block,
    BlockTransaction,
    CreateAccount,
    TransferAsset,
)
from menus.encoding import GSM7_BASIC, GSM7_EXTENSION, encoding_of, segments, size

DARA, THIDA = "+85512345601", "+85512345602"
TREASURY = "treasury@bank"
KHMER = "អ្នកបានទទួល 5,000 រៀល"

pytestmark = needs_chromium


@going()
async def page(browser, simulator):
    async with opened(browser, simulator) as page:
        await phone(page, DARA).wait_for()
        yield page


async def test_two_phones_are_on_the_desk_and_more_can_be(page):
    await expect(page.locator(".phone")).to_have_count(2)
    await page.get_by_role("button", name="Nuon Bopha").click()
    await expect(page.locator(".phone")).to_have_count(3)
    await page.get_by_label("Another number").fill("097 123 4567")
    await page.get_by_role("button", name="Add phone").click()
    await expect(phone(page, "+855971234567")).to_be_visible()


async def test_a_session_by_the_keys_of_the_phone(page, network, demo):
    dara = phone(page, DARA)
    await turn(dara, "*855#", "1 Send")
    await turn(dara, "1", "Send to which number?")
    await turn(dara, "012345602", "Enter your PIN")
    await press(dara, "730264")
    hidden = "getComputedStyle(document.querySelector('.secret .line')).webkitTextSecurity"
    assert await page.evaluate(hidden) == "disc"
    await press(dara, ["send"])
    await expect(dara.locator(".page")).to_have_text("Sent. Ref R1")
    assert demo.of("ussd")[-1]["text"] == "1*012345602*730264"
    await expect(page.locator("#wire li").first).to_contain_text("1*012345602*••••")
    await expect(page.locator("#wire")).not_to_contain_text("730264")
    # A digit over the last page begins a new number.
    await turn(dara, "*855#", "1 Send")


async def test_a_session_by_the_keyboard(page):
    dara = phone(page, DARA)
    await dara.focus()
    await page.keyboard.type("*855#")
    await page.keyboard.press("Enter")
    await expect(dara.locator(".page")).to_contain_text("1 Send")
    await page.keyboard.type("12")
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Enter")
    await expect(dara.locator(".page")).to_have_text("Send to which number?")
    await page.keyboard.press("Escape")
    await expect(dara).to_have_attribute("data-view", "home")


async def test_an_sms_arrives_is_read_and_is_answered(page, network, demo):
    thida = phone(page, THIDA)
    network.sms.deliver(THIDA, "855", KHMER)
    await expect(thida.locator(".home-hint")).to_have_text("1 new message")
    await press(thida, ["left"])
    await expect(thida.locator(".inbox .start")).to_have_text(KHMER)
    await press(thida, ["left"])
    await expect(thida.locator(".page")).to_contain_text(KHMER)
    await expect(thida).not_to_have_class("unread")
    await press(thida, ["left"])  # Reply; then letters by pressing keys several times
    await press(thida, ["#", "2", "2", "#", "#", "5"])
    await expect(thida.locator(".text")).to_have_value("B" + "j")
    await press(thida, ["send"])
    await expect(thida.locator(".inbox .peer").first).to_have_text("855")
    await network.tower.drain()
    assert demo.of("sms")[0]["text"] == "Bj"


async def test_a_late_answer_does_not_undo_what_the_feed_has_told(page, network):
    """The receipt is here before the answer to the key that caused it."""

    async def late(route):
        answer = await route.fetch()
        network.sms.deliver(DARA, "855", "A receipt")
        await expect(phone(page, DARA).locator(".mail b")).to_have_text("1")
        await route.fulfill(response=answer)

    await page.route("**/api/phones/*/dial", late)
    dara = phone(page, DARA)
    async with page.expect_response("**/api/phones/*/dial") as response:
        await turn(dara, "*855#", "1 Send")
    await (await response.value).finished()
    await press(dara, ["1"])  # a key pressed after the answer was heard
    await expect(dara.locator(".line")).to_have_value("1")
    await expect(dara.locator(".mail b")).to_have_text("1")


@pytest.mark.parametrize("width", [360, 900, 1600])
async def test_nothing_is_wider_than_the_window(browser, simulator, network, width):
    async with opened(browser, simulator, width, 900) as page:
        await phone(page, DARA).wait_for()
        network.sms.deliver(DARA, "855", "a" * 300)
        await network.ussd.dial(DARA, "*855#")
        await expect(phone(page, DARA).locator(".page")).to_contain_text("1 Send")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        box = await phone(page, DARA).locator(".body").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("size", [(1366, 650), (1280, 720), (1400, 900)])
async def test_every_key_is_in_the_window_of_a_laptop(browser, simulator, size):
    async with opened(browser, simulator, *size) as page:
        box = await phone(page, DARA).locator('[data-key="#"]').bounding_box()
        assert box["y"] + box["height"] <= size[1]


@pytest.mark.parametrize("size", [(1024, 768), (1280, 720), (1440, 900)])
async def test_both_panes_are_in_view_beside_the_phones(browser, simulator, size):
    async with opened(browser, simulator, *size) as page:
        await phone(page, DARA).wait_for()
        for pane in ("#ledger-pane", "#wire-pane"):
            box = await page.locator(pane).bounding_box()
            assert box["height"] >= 150
            assert box["y"] + box["height"] <= size[1]
            assert box["x"] + box["width"] <= size[0]


@pytest.mark.parametrize("width", [360, 400])
async def test_the_next_phone_shows_its_edge_and_the_panes_are_one_link_away(
    browser, simulator, width
):
    async with opened(browser, simulator, width, 800) as page:
        await phone(page, DARA).wait_for()
        box = await phone(page, THIDA).locator(".body").bounding_box()
        assert box["x"] <= width - 15
        await page.get_by_role("link", name="Wire").click()
        await expect(page.locator("#wire-title")).to_be_in_viewport()


async def test_a_peer_of_the_ledger_is_stopped_on_the_page(page, orders):
    words = page.locator("#peers p")
    await expect(words).to_have_text("3 of 4 make a block.")
    for number in (1, 2):
        await page.get_by_label(f"Peer {number}").select_option("stopped")
    await expect(words).to_have_text("No blocks: 3 of 4 must run.")
    assert orders == ["1 stopped", "2 stopped"]


async def test_pages_are_read_out_and_the_clock_is_not(page):
    dara = phone(page, DARA)
    await expect(dara.locator(".page")).to_have_attribute("aria-live", "off")
    await turn(dara, "*855#", "1 Send")
    await expect(dara.locator(".page")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("width", [400, 760, 1180, 1280, 1366])
async def test_no_column_of_the_ledger_is_cut(browser, simulator, view, width):
    commands = (
        AddAssetQuantity("khr#nbc", "999980000000"),
        AddAssetQuantity("usd#nbc", "999999900.00"),
        CreateAccount("85512345603", "bank", ""),
        CreateAccount("85512345604", "bank", ""),
        TransferAsset(TREASURY, "85512345603@bank", "khr#nbc", "20000000"),
        TransferAsset(TREASURY, "85512345603@bank", "usd#nbc", "5000.00"),
    )
    view.take(Block(1, 0, "", "", (BlockTransaction("", TREASURY, 0, commands),), (), ()))
    async with opened(browser, simulator, width, 800) as page:
        rows = page.locator("#ledger tbody tr")
        await expect(rows).to_have_count(3)
        await expect(rows.nth(1).locator("td")).to_have_text(["0", "0"])
        treasury = rows.nth(2).locator("td")
        await expect(treasury).to_have_text(["999.96 bn", "999.99 m"])
        await expect(treasury.first).to_have_attribute("title", "999,960,000,000")
        scroll = page.locator(".scroll", has=page.locator("#ledger"))
        assert await scroll.evaluate("pane => pane.scrollWidth <= pane.clientWidth")


async def test_clocks_show_phnom_penh(browser, simulator):
    page = await browser.new_page(timezone_id="America/New_York")
    await page.goto(simulator)
    script = """async () => {
        const { minuteOf, secondOf } = await import("/static/time.js");
        return [minuteOf(1764000000), secondOf(1764003599), minuteOf(1764003600 - 3600 * 16)];
    }"""
    assert await page.evaluate(script) == ["23:00", "23:59:59", "08:00"]
    await page.close()


async def test_the_page_measures_as_the_gateway_does(page):
    texts = [*GSM7_BASIC, *GSM7_EXTENSION, "`", "ç", "ក", "😀", "a" * 161, "€" * 81, KHMER * 9, ""]
    script = """async (texts) => {
        const { measure, smsCount } = await import("/static/encoding.js");
        return texts.map((text) => [measure(text), smsCount(measure(text))]);
    }"""
    measured = await page.evaluate(script, texts)
    expected = [
        [{"encoding": encoding_of(text).value, "used": size(text)}, len(segments(text))]
        for text in texts
    ]
    assert measured == expected
