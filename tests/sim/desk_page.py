"""The page of phones as a person uses it: shared by what drives it in Chromium."""

import contextlib
from pathlib import Path

import pytest
from playwright.async_api import expect

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")


@contextlib.asynccontextmanager
async def opened(browser, url, width=1400, height=1000):
    """The page in a window; nothing may go wrong in it meanwhile.

    It is one window for all, and nothing blinks in it: a new one, and motion, cost a second of
    processor time each. What a page keeps is kept for its address, and every test has its own port.
    """
    if not browser.contexts:
        await browser.new_page(reduced_motion="reduce")
    page = browser.contexts[0].pages[0]
    await page.set_viewport_size({"width": width, "height": height})
    problems = []

    def wrong(error):
        problems.append(str(error))

    def said(line):
        if line.type == "error":
            problems.append(line.text)

    page.on("pageerror", wrong)
    page.on("console", said)
    await page.goto(url)
    yield page
    await page.unroute_all()
    await page.goto("about:blank")
    page.remove_listener("pageerror", wrong)
    page.remove_listener("console", said)
    assert problems == []


def phone(page, msisdn):
    return page.locator(f'[data-msisdn="{msisdn}"]')


async def press(handset, keys):
    for key in keys:
        await handset.locator(f'[data-key="{key}"]').click()


async def turn(handset, text, expected):
    await press(handset, [*text, "send"])
    await expect(handset.locator(".page")).to_contain_text(expected)
