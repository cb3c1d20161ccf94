"""`make screenshots`: every page of a console at work, light, dark and as wide as a phone, as PNG files to look at.

Run as a test module of pytest, for it needs the same installation: `pytest tests/console/screenshots.py`.
"""

import base64
import os
from pathlib import Path

import pytest

from tests.console.conftest import Console
from tests.console.person import Person
from tests.console.test_worked_example import signal
from tests.edge.browser.driver import Browser

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

FOLDER = Path(os.environ.get("SCREENSHOTS", "screenshots"))
NUDGE = "onboarding_nudge_v1"
PATHS = {
    "overview": "/", "policies": "/policies", "policy": f"/policies/{NUDGE}", "experiment": f"/policies/{NUDGE}/experiment",
    "propose": "/propose", "user": "/users?unit=u-3", "partitions": "/partitions", "deadletters": "/deadletters",
    "log": "/log", "help": "/help",
}  # fmt: skip
LOOKS = {"light": (1_200, "light"), "dark": (1_200, "dark"), "phone": (360, "light")}
SIGNALS = 40


def test_screenshots_of_every_page(console: Console, browser: Browser) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    person = Person(browser, console.url)
    person.log_in("ann")
    for number in range(SIGNALS):
        signal(console, f"u-{number}", "/app/onboarding")
    person.open("/users?unit=u-39")
    browser.wait("document.querySelector('table') || (location.reload(), false)")
    for look, (width, scheme) in LOOKS.items():
        browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=look == "phone")
        for name, path in PATHS.items():
            person.open(path)
            browser.frames(2)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide on {look}"
            image = browser.cdp("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            (FOLDER / f"{name}-{look}.png").write_bytes(base64.b64decode(image))
