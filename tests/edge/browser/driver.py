"""A real headless Chromium, driven by the W3C WebDriver protocol over plain HTTP: chromedriver is the only thing in between.

Owns: finding or installing the two, one browser process, what a test does in it. Refuses to stand in for a browser.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from app.stream.child import Child

PACKAGES = ("chromium", "chromium-driver")
PROGRAMS = ("chromium", "chromedriver")
INSTALL_SECONDS = 600.0
START_SECONDS = 30.0
ANSWER_SECONDS = 60.0
WAIT_SECONDS = 15.0
LOOK_AGAIN_SECONDS = 0.02
_STARTED = re.compile(r"started successfully on port (\d+)")
# What a browser in a container of one user cannot have: a sandbox of its own as root, much shared memory.
WINDOW = {"width": 1000, "height": 700}
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1000,700")


def missing() -> str | None:
    """Installs Debian's packages where they are missing and may be installed. Why there is no Chromium, or None."""
    if all(map(shutil.which, PROGRAMS)):
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"no {' and no '.join(PROGRAMS)}: install {' '.join(PACKAGES)}, or run the tests as root on Debian"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
        if done.returncode != 0:
            return f"apt-get {command[0]} could not install {' '.join(PACKAGES)}: {done.stderr.strip()[-300:]}"
    return None


class Browser:
    """`with Browser(folder) as browser:`. more: arguments of Chromium."""

    def __init__(self, folder: Path, *more: str) -> None:
        self._driver = Child("chromedriver", [shutil.which("chromedriver") or "", "--port=0"], {}, folder / "chromedriver.log")
        self._arguments = [*ARGUMENTS, f"--user-data-dir={folder / 'profile'}", *more]
        self._client = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False)
        self._session = ""

    def __enter__(self) -> Self:
        self._driver.start()
        port = wait_for(lambda: _STARTED.search(self._driver.log), "chromedriver's port", START_SECONDS).group(1)
        options = {"args": self._arguments, "excludeSwitches": ["disable-back-forward-cache"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "pageLoadStrategy": "none"}}}
        made = self._client.post(f"http://127.0.0.1:{port}/session", json=wanted).json()["value"]
        assert "sessionId" in made, made
        self._session = f"http://127.0.0.1:{port}/session/{made['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        if self._session:
            self._client.delete(self._session)
        self._client.close()
        if self._driver.running:
            self._driver.process.terminate()
            self._driver.process.wait()

    def open(self, url: str) -> None:
        """Navigates; the page is loading when this returns."""
        self._post("url", url=url)

    def back(self) -> None:
        self._post("back")

    def run(self, script: str, *arguments: Any) -> Any:
        """The body of a function in the page, and what it returns."""
        return self._post("execute/sync", script=script, args=list(arguments))

    def wait(self, expression: str, *arguments: Any, seconds: float = WAIT_SECONDS) -> Any:
        """The value of the expression in the page, once it is true."""
        return wait_for(lambda: self._value_of(expression, arguments), expression, seconds)

    def frames(self, count: int) -> None:
        """Returns when the page has drawn so many frames more: what was to happen in them has happened."""
        script = "const [n, done] = arguments; const step = i => i ? requestAnimationFrame(() => step(i - 1)) : done(); step(n)"
        self._post("execute/async", script=script, args=[count])

    def run_async(self, script: str, *arguments: Any) -> Any:
        """The same; its last argument is called with the answer."""
        return self._post("execute/async", script=script, args=list(arguments))

    def key(self, *keys: str) -> None:
        """Pressed and released, one after the other, wherever the focus is."""
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": pressed}])

    def cdp(self, method: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._post("goog/cdp/execute", cmd=method, params=parameters)

    def new_tab(self) -> str:
        """Opens a tab, which is not yet the current one."""
        return str(self._post("window/new", type="tab")["handle"])

    def switch(self, tab: str) -> None:
        self._post("window", handle=tab)

    @property
    def tab(self) -> str:
        return str(self._client.get(f"{self._session}/window").json()["value"])

    def tabs(self) -> list[str]:
        return list(self._client.get(f"{self._session}/window/handles").json()["value"])

    def close_tab(self) -> None:
        self._client.delete(f"{self._session}/window")

    def forget(self, origin: str) -> None:
        """Another person's browser: cookies, cached pages and storage of the origin are gone."""
        self.cdp("Network.clearBrowserCookies")
        self.cdp("Network.clearBrowserCache")
        self.cdp("Storage.clearDataForOrigin", origin=origin, storageTypes="all")

    def minimize(self) -> None:
        """The tab is hidden."""
        self._post("window/minimize")

    def restore(self) -> None:
        self._post("window/rect", **WINDOW)

    def clean_up(self) -> None:
        """One visible tab, an undisturbed network."""
        first, *others = self.tabs()
        for tab in others:
            self.switch(tab)
            self.close_tab()
        self.switch(first)
        self.restore()
        self.network()

    def network(self, *, latency_ms: float = 0, bytes_per_second: float = -1, offline: bool = False) -> None:
        """Of the current tab, from now on."""
        self.cdp("Network.enable")
        speeds = {"downloadThroughput": bytes_per_second, "uploadThroughput": bytes_per_second}
        self.cdp("Network.emulateNetworkConditions", offline=offline, latency=latency_ms, **speeds)

    def _value_of(self, expression: str, arguments: Any) -> Any:
        answer = self._client.post(
            f"{self._session}/execute/sync", json={"script": f"return ({expression})", "args": list(arguments)}
        ).json()["value"]
        # Between two documents there is nothing to ask; what else goes wrong in the page shows when the wait ends.
        return None if isinstance(answer, dict) and "error" in answer else answer

    def _post(self, path: str, **body: Any) -> Any:
        value = self._client.post(f"{self._session}/{path}", json=body).json()["value"]
        assert not (isinstance(value, dict) and "error" in value and "stacktrace" in value), value
        return value


def wait_for(look: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """What `look` finds, once it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(LOOK_AGAIN_SECONDS)
    return found
