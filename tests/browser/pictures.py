"""The README's pictures, taken from a service that runs for them: `make pictures`."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Browser, async_playwright

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WARM_UP_S = 60
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SIGN = "l2-tcm-a"


async def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("pictures need Chromium: apt install chromium fonts-noto-cjk")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state:
        run = subprocess.Popen(
            [sys.executable, "-m", "service", "run", "--port", "0", "--state", state],
            stdout=subprocess.DEVNULL,
        )
        try:
            url = _address(Path(state) / "run.json")
            await asyncio.sleep(WARM_UP_S)
            async with async_playwright() as play:
                browser = await play.chromium.launch(executable_path=chromium, args=QUIET)
                await _take(browser, url)
                await browser.close()
        finally:
            run.send_signal(signal.SIGTERM)
            run.wait(20)


def _address(file: Path) -> str:
    until = time.monotonic() + 90
    while not file.exists():
        if time.monotonic() > until:
            sys.exit("the service did not come up")
        time.sleep(0.2)
    return str(json.loads(file.read_text())["http_url"])


async def _take(browser: Browser, url: str) -> None:
    desk = await browser.new_page(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    await desk.goto(f"{url}/signs")
    await desk.wait_for_timeout(3000)
    await desk.screenshot(path=PICTURES / "signs.png")
    code = await desk.locator(f"a[href*='/s/{SIGN}?t=']").first.get_attribute("href")
    await desk.goto(f"{url}/signs/{SIGN}")
    await desk.wait_for_timeout(3000)
    await desk.set_viewport_size({"width": 900, "height": 560})
    await desk.wait_for_timeout(1000)
    await desk.screenshot(path=PICTURES / "sign.png")
    await desk.set_viewport_size({"width": 1440, "height": 900})
    await desk.goto(f"{url}/ops/")
    await desk.wait_for_timeout(4000)
    await desk.screenshot(path=PICTURES / "ops.png")
    phone = await browser.new_page(viewport={"width": 390, "height": 780}, locale="zh-CN")
    await phone.goto(f"{url}{code}" if str(code).startswith("/") else str(code))
    await phone.wait_for_timeout(1500)
    await phone.screenshot(path=PICTURES / "driver.png")


asyncio.run(main())
