"""A person at the console: what one sees and clicks, in real Chromium."""

from tests.console.conftest import PASSPHRASE
from tests.edge.browser.driver import Browser


class Person:
    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url

    def log_in(self, name: str, passphrase: str = PASSPHRASE) -> None:
        self.browser.cdp("Network.clearBrowserCookies")
        self.open("/login")
        self.fill("[name=name]", name)
        self.fill("[name=passphrase]", passphrase)
        self.click("main form button")

    def open(self, path: str) -> None:
        self.browser.open(self.url + path)
        self.browser.wait(f"location.pathname === {path.partition('?')[0]!r} && document.readyState === 'complete'")

    def fill(self, selector: str, value: str) -> None:
        self.browser.run("document.querySelector(arguments[0]).value = arguments[1]", selector, value)

    def click(self, selector: str) -> None:
        self.browser.run("document.querySelector(arguments[0]).click()", selector)

    def sees(self, text: str, seconds: float = 15) -> None:
        self.browser.wait(
            "document.readyState === 'complete' && document.body.innerText.includes(arguments[0])", text, seconds=seconds
        )

    def move(self, policy: str, move: str, reason: str) -> None:
        """Fills in the reason and presses the button of that move."""
        form = f"form[action='/policies/{policy}/{move}']"
        self.browser.wait("document.querySelector(arguments[0]) !== null", form)
        self.fill(f"{form} [name=reason]", reason)
        self.click(f"{form} button")
