"""Visitors of the sample site: who they are, what they see, and what the logs say of them."""

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.topics import EXPERIMENT_EXPOSURE, EXPOSURES, JOURNAL, event_topic
from app.engine.bucketing import bucket_ranges, choose_variation, hash_unit
from tests.edge.browser.driver import Browser
from tests.edge.browser.site import ELSEWHERE, PlayedSite
from tests.edge.playground import Playground, shown_nudge
from tests.edge.process import Stored

CLIENT, SERVER = "/app/onboarding", "/app/onboarding/server"
ARMS = ("A", "B")
SLOT = "document.querySelector('[data-truelift-slot]')"
VARIANT = f"({SLOT}.querySelector('.nudge') ? 'B' : 'A')"
# Ten times what an acknowledgement takes.
FRAMES = 10
DELIVERED = "!JSON.parse(localStorage.truelift || '{}').queue?.length"


def arm_of(anonymous_id: str) -> str:
    """As the policy's hash has it: known before anybody is asked."""
    body = shown_nudge()
    bucket = hash_unit(body["seed"], f"anon:{anonymous_id}", body["hash_version"])
    assert bucket is not None
    return ARMS[choose_variation(bucket, bucket_ranges(len(ARMS), 1.0, [0.5, 0.5]))]


def is_held_out(anonymous_id: str) -> bool:
    """As the hash of the policy's holdout has it."""
    holdout = DEFAULT_CATALOGUE.holdouts[shown_nudge()["holdout"]]
    bucket = hash_unit(holdout.seed, f"anon:{anonymous_id}", holdout.hash_version)
    assert bucket is not None
    return bucket < holdout.permille / 1000


def someone(arm: str | None) -> str:
    """A new visitor of that arm; None: who is held out."""
    for _ in range(1_000):
        anonymous_id = uuid.uuid4().hex
        if (arm is None) == is_held_out(anonymous_id) and arm in (None, arm_of(anonymous_id)):
            return anonymous_id
    raise AssertionError(f"nobody of a thousand is in {arm}")


class Visits:
    """One browser, one visitor at a time. site: may be changed before a page is opened."""

    def __init__(self, browser: Browser, site: PlayedSite, origin: str, playground: Playground) -> None:
        self.browser = browser
        self.site = site
        self.origin = origin
        self._playground = playground
        self._styles: list[str] = []

    def come(self, anonymous_id: str) -> None:
        """Another person's browser, known by this id, on a page without the SDK."""
        self.leave()
        self.browser.forget(self.origin)
        self.browser.cdp("Network.setCookie", name="truelift_id", value=anonymous_id, url=self.origin)

    def leave(self) -> None:
        self.browser.open(self.origin + ELSEWHERE)
        self.browser.wait("document.title === 'elsewhere'")

    def open(self, path: str = CLIENT) -> None:
        """Returns when the page has its decisions and has rendered its slot."""
        self.browser.open(self.origin + path)
        self.rendered(path)

    def rendered(self, path: str = CLIENT) -> None:
        self.browser.wait(
            f"location.pathname === '{path}' && document.readyState === 'complete' && typeof rendered === 'object'"
        )
        self.browser.run("return rendered")

    def scroll(self) -> None:
        """The slot comes into view."""
        self.browser.run(f"{SLOT}.scrollIntoView()")

    def style(self, rules: str) -> None:
        """Of every page from now on, before anything else: as a blocker or a design does it."""
        script = f"const s = new CSSStyleSheet(); s.replaceSync({json.dumps(rules)}); document.adoptedStyleSheets = [s]"
        self._styles.append(self.browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"])

    def close(self) -> None:
        while self._styles:
            self.browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=self._styles.pop())
        self.browser.clean_up()

    @property
    def variant(self) -> str:
        """What is on the page."""
        return str(self.browser.run(f"return {VARIANT}"))

    def settled(self) -> None:
        """Some frames later the edge has all that the page has said."""
        self.browser.frames(FRAMES)
        self.browser.wait(DELIVERED)

    async def acknowledgements(self, anonymous_id: str, event: str = EXPERIMENT_EXPOSURE) -> list[dict[str, Any]]:
        """Of this visitor, as the edge took them; or other events."""
        records = await self._playground.found(event, lambda records: True)
        return [record.value for record in records if record.key == f"anon:{anonymous_id}"]

    async def exposures(self, *anonymous_ids: str) -> dict[str, list[dict[str, Any]]]:
        """The exposure log of these visitors, once the worker has committed an answer to every acknowledgement of theirs."""
        units = {f"anon:{anonymous_id}": anonymous_id for anonymous_id in anonymous_ids}
        taken = await self._playground.found(EXPERIMENT_EXPOSURE, lambda records: True)
        wanted = Counter(record.key for record in taken if record.key in units)
        topic = self._playground.settings.topic(EXPERIMENT_EXPOSURE)
        await self._playground.found(JOURNAL, lambda journal: _answered(journal, topic, units) >= wanted)
        found: dict[str, list[dict[str, Any]]] = {anonymous_id: [] for anonymous_id in anonymous_ids}
        for record in await self._playground.found(EXPOSURES, lambda records: True):
            if record.key in units:
                found[units[record.key]].append(record.value)
        return found

    async def journal(self, anonymous_id: str, event: str = "page_view") -> list[dict[str, Any]]:
        """The journal records of this visitor's events."""
        records = await self._playground.found(JOURNAL, lambda records: True)
        mine = (record.value for record in records if record.key == f"anon:{anonymous_id}")
        return [body for body in mine if body["input"]["topic"].endswith(event_topic(event))]


def _answered(journal: list[Stored], topic: str, units: Mapping[str, str]) -> "Counter[str | None]":
    names = {topic, EXPERIMENT_EXPOSURE}
    return Counter(record.key for record in journal if record.key in units and record.value["input"]["topic"] in names)
