"""Debian's Chromium, driven for a test: what it says, what it fetches, where it looks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Request, Response, async_playwright

EXECUTABLE = "/usr/bin/chromium"
# As root and without a network Chromium wants to be told not to look for either.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


class Seen:
    """What happened in one page: every complaint, every request, every body's size."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        page.on("request", self._requested)
        page.on("response", self._responded)

    def _requested(self, request: Request) -> None:
        self.requests.append(request)

    def _responded(self, response: Response) -> None:
        self.responses.append(response)

    def hosts(self) -> set[str]:
        return {urlsplit(one.url).netloc for one in self.requests if one.url.startswith("http")}

    async def weight(self) -> int:
        """Bytes of all bodies, uncompressed."""
        return sum([len(await one.body()) for one in self.responses if one.status == 200])


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def sideways(page: Page) -> int:
    """How many pixels the page can be scrolled sideways."""
    return await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
