"""Every page in real Chromium: nothing that axe-core finds, light and dark; usable at 360 px; reached by the keyboard alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import Console
from tests.console.pages import LOOKS, paths_of, put_on
from tests.console.person import Person
from tests.console.scene import Scene
from tests.edge.browser.driver import Browser
from tests.npm import MISSING, installed

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.skipif(MISSING, reason="Node.js is not installed")]

HERE = Path(__file__).parent
RUN = """
const [options, done] = arguments;
const told = rule => [rule.id, rule.impact, rule.nodes.map(node => node.html).slice(0, 3)];
axe.run(document, options).then(found => done(found.violations.map(told)));
"""
# Of the console's sort: WCAG 2.2 at level AA and axe's own good practice.
OPTIONS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="session")
def axe() -> str:
    return (installed(HERE / "node" / "package.json", "console-axe") / "node_modules" / "axe-core" / "axe.min.js").read_text()


def judged(browser: Browser, axe: str) -> list[Any]:
    """What axe-core finds on the page that is open; put in by the debugger, which the page's policy does not bind."""
    browser.cdp("Runtime.evaluate", expression=axe)
    found: list[Any] = browser.run_async(RUN, OPTIONS)
    return found


def test_every_page_is_clean_light_and_dark_and_fits_a_phone(staged: Console, browser: Browser, axe: str) -> None:
    person = Person(browser, staged.url)
    Scene(staged).set(8)
    person.open("/login")
    assert judged(browser, axe) == []
    person.log_in("ann")
    person.sees("Signals")
    paths = paths_of(person)
    wrong = {}
    for look in LOOKS:
        put_on(browser, look)
        for name, path in paths.items():
            person.open(path)
            # The phone has the light colours and the same markup: there its width is the question.
            if look != "phone" and (found := judged(browser, axe)):
                wrong[name, look] = found
            if not browser.run("return document.documentElement.scrollWidth <= innerWidth"):
                wrong[name, look, "too wide"] = []
    assert wrong == {}
    # The control: what is broken is found.
    browser.run("document.querySelector('input, a').parentNode.innerHTML = '<img src=x><input>'")
    assert {"image-alt", "label"} <= {name for name, *_ in judged(browser, axe)}


def test_a_policy_is_paused_by_the_keyboard_alone(staged: Console, browser: Browser) -> None:
    person = Person(browser, staged.url)
    person.log_in("ann")
    person.sees("Signals")
    person.open("/policies/layout")
    seen = []
    for _ in range(80):
        browser.key("\ue004")  # Tab
        at = browser.run(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.closest('form')?.getAttribute('action') ?? e.getAttribute('href'), e.name ?? '', s.outlineStyle]"
        )
        seen.append(at)
        assert at[2] != "none", f"nothing shows that {at[0]} is where one is"
        if at[:2] == ["/policies/layout/paused", "reason"]:
            break
    assert seen[0][0] == "#content", "the first stop leads past the navigation"
    assert seen[-1][:2] == ["/policies/layout/paused", "reason"]
    browser.key(*"on call")
    browser.key("\ue007")  # Enter
    person.sees("❚❚ paused")
    person.sees("on call")
