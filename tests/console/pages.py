"""The pages of a console in which a scene was set, and how they are looked at."""

from app.chaos.policies import NUDGE
from tests.console.person import Person
from tests.console.scene import PERSON, WAITING
from tests.edge.browser.driver import Browser

# name -> (width, colour scheme)
LOOKS = {"light": (1_200, "light"), "dark": (1_200, "dark"), "phone": (360, "light")}
REPORT_SECONDS = 90


def paths_of(person: Person) -> dict[str, str]:
    """With what takes a moment made: an audit, a what-if report, looks.

    ann is logged in. The nudge is killed, so that all its looks are open.
    """
    browser = person.browser
    person.open(f"/policies/{NUDGE}")
    if browser.run("return document.querySelector('form[action$=killed]') !== null"):
        person.move(NUDGE, "killed", "support calls")
        person.sees("killed by ann")
    person.open(f"/policies/{NUDGE}/experiment")
    person.click("form[action$=look] button")
    browser.wait("document.querySelector('.interval') !== null", seconds=REPORT_SECONDS)
    person.click("form[action$=audit] button")
    browser.wait("document.querySelector('.points .check') !== null", seconds=REPORT_SECONDS)
    person.open(f"/policies/{WAITING}")
    person.click("form[action$=what-if] button")
    person.sees("Digest", REPORT_SECONDS)
    record = link_on(person, "/users?unit=u-4", ".event:last-child a[href^='/journal/']")
    letter = link_on(person, "/deadletters", "a[href^='/deadletters/']")
    return {
        "overview": "/", "policies": "/policies", "policy": f"/policies/{NUDGE}", "waiting": f"/policies/{WAITING}",
        "experiment": f"/policies/{NUDGE}/experiment", "propose": f"/propose?policy={WAITING}", "users": "/users",
        "user": f"/users?unit={PERSON}", "record": record, "partitions": "/partitions", "deadletters": "/deadletters",
        "deadletter": letter, "log": "/log", "help": "/help",
    }  # fmt: skip


def link_on(person: Person, path: str, selector: str) -> str:
    """Where the first such link leads, once the read model has it."""
    person.open(path)
    found = person.browser.wait(
        "document.querySelector(arguments[0])?.getAttribute('href') ?? (location.reload(), null)", selector, seconds=30
    )
    return str(found)


def put_on(browser: Browser, look: str) -> None:
    width, scheme = LOOKS[look]
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=look == "phone")
    browser.cdp("Emulation.setScrollbarsHidden", hidden=True)
