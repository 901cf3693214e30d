"""The page in headless Chromium, in front of the tiny application."""

from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from menus.encoding import GSM7_BASIC, GSM7_EXTENSION, encoding_of, segments, size

CHROMIUM = Path("/usr/bin/chromium")
DARA, THIDA = "+85512345601", "+85512345602"
KHMER = "អ្នកបានទទួល 5,000 រៀល"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")


@pytest.fixture
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser, simulator):
    page = await browser.new_page(viewport={"width": 1400, "height": 1000})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    await page.goto(simulator)
    await phone(page, DARA).wait_for()
    yield page
    assert problems == []


def phone(page, msisdn):
    return page.locator(f'[data-msisdn="{msisdn}"]')


async def press(handset, keys):
    for key in keys:
        await handset.locator(f'[data-key="{key}"]').click()


async def turn(handset, text, expected):
    await press(handset, [*text, "send"])
    await expect(handset.locator(".page")).to_contain_text(expected)


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


@pytest.mark.parametrize("width", [360, 900, 1600])
async def test_nothing_is_wider_than_the_window(browser, simulator, network, width):
    page = await browser.new_page(viewport={"width": width, "height": 900})
    await page.goto(simulator)
    await phone(page, DARA).wait_for()
    network.sms.deliver(DARA, "855", "a" * 300)
    await network.ussd.dial(DARA, "*855#")
    await expect(phone(page, DARA).locator(".page")).to_contain_text("1 Send")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    box = await phone(page, DARA).locator(".body").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


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
