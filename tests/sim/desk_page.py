"""The page of phones as a person uses it: shared by what drives it in Chromium."""

import contextlib
from pathlib import Path

import pytest
from playwright.async_api import expect

CHROMIUM = Path("/usr/bin/chromium")
needs_chromium = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")


@contextlib.asynccontextmanager
async def opened(browser, url, width=1400, height=1000):
    """The page in a window of its own; nothing may go wrong in it meanwhile."""
    page = await browser.new_page(viewport={"width": width, "height": height})
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    await page.goto(url)
    yield page
    await page.close()
    assert problems == []


def phone(page, msisdn):
    return page.locator(f'[data-msisdn="{msisdn}"]')


async def press(handset, keys):
    for key in keys:
        await handset.locator(f'[data-key="{key}"]').click()


async def turn(handset, text, expected):
    await press(handset, [*text, "send"])
    await expect(handset.locator(".page")).to_contain_text(expected)
