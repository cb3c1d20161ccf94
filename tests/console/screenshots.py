"""`make screenshots`: every page of a console at work, light, dark and as wide as a phone, as PNG files to look at.

Run as a test module of pytest, for it needs the same installation: `pytest tests/console/screenshots.py`.
"""

import base64
import os
from pathlib import Path

import pytest

from tests.console.conftest import Console
from tests.console.pages import LOOKS, paths_of, put_on
from tests.console.person import Person
from tests.console.scene import Scene
from tests.edge.browser.driver import Browser

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

FOLDER = Path(os.environ.get("SCREENSHOTS", "screenshots"))
USERS = 60
# Those that say more once they were sent anew.
LIVE = ("partitions",)


def test_screenshots_of_every_page(staged: Console, browser: Browser) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    person = Person(browser, staged.url)
    Scene(staged).set(USERS)
    for look in LOOKS:
        put_on(browser, look)
        person.open("/login")
        taken(browser, "login", look)
    put_on(browser, "light")
    person.log_in("ann")
    person.sees("Signals")
    paths = paths_of(person)
    for look in LOOKS:
        put_on(browser, look)
        for name, path in paths.items():
            person.open(path)
            if name in LIVE:
                browser.wait("!document.querySelector('main').innerText.includes('…')", seconds=30)
            taken(browser, name, look)


def taken(browser: Browser, name: str, look: str) -> None:
    browser.frames(2)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide on {look}"
    image = browser.cdp("Page.captureScreenshot", captureBeyondViewport=True)["data"]
    (FOLDER / f"{name}-{look}.png").write_bytes(base64.b64decode(image))
