"""What can come between a decision and its being seen: scenes that a visitor plays, with the acknowledgements that are right.

Each names what has to be broken in the SDK for the count to be wrong: a guard that nothing needs would guard nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

from app.edge.sample.site import SLOT as POINT
from tests.edge.browser.site import Changes
from tests.edge.browser.visitor import CLIENT, Visits

BELOW = "h1 {margin-top: 3000px}"
# A slot of its own in view, for a decision that nobody has seen yet; `t` is the client that renders.
IN_VIEW = (
    f"const d = (await page).at('{POINT}'), slot = document.createElement('div'); document.body.prepend(slot); scrollTo(0, 0);"
)
# Hidden pages draw no frames.
AWHILE = "return new Promise(done => setTimeout(done, 300))"

SEEN = "inView = last.isIntersecting && last.intersectionRatio >= o.ratio;"
STYLED = "(!mark.checkVisibility || mark.checkVisibility({ opacityProperty: true, visibilityProperty: true }))"
ONCE = "if (kept.shown.includes(id)) return false;"


class Scene(NamedTuple):
    play: Callable[[Visits], None]
    acknowledged: int
    broken: Changes


def rendered_again(visits: Visits) -> None:
    visits.open()
    visits.settled()
    visits.browser.run("await show(); await show(); const old = document.querySelector('[data-truelift-slot]');")
    visits.browser.run(
        "const old = document.querySelector('[data-truelift-slot]'); old.replaceWith(old.cloneNode()); await show()"
    )
    visits.settled()


def opened_again(visits: Visits) -> None:
    visits.open()
    visits.settled()
    visits.open()
    visits.settled()


def two_tabs(visits: Visits) -> None:
    visits.open()
    first = visits.variant
    visits.settled()
    visits.browser.switch(visits.browser.new_tab())
    visits.open()
    assert visits.variant == first
    visits.settled()


def hidden_by_style(visits: Visits) -> None:
    visits.style("[data-truelift-slot] {opacity: 0 !important}")
    visits.open()
    visits.settled()


def taken_out_of_the_page(visits: Visits) -> None:
    visits.style("[data-truelift-slot] {display: none !important}")
    visits.open()
    visits.settled()


def below_the_fold(visits: Visits) -> None:
    visits.style(BELOW)
    visits.open()
    visits.settled()


def scrolled_to(visits: Visits) -> None:
    below_the_fold(visits)
    visits.scroll()
    visits.settled()


def removed(visits: Visits) -> None:
    """Seen for some frames, but not for as many as are asked for."""
    visits.style(BELOW)
    visits.site.options = visits.site.options._replace(sdk={"automation": True, "frames": 60})
    visits.open()
    visits.browser.run(f"{IN_VIEW} truelift.render(d, slot, fill); window.slot = slot")
    visits.browser.frames(4)
    visits.browser.run("slot.remove()")
    visits.browser.frames(60)
    visits.settled()


def failed(visits: Visits) -> None:
    """The page's own code cannot draw the variant."""
    visits.style(BELOW)
    visits.open()
    visits.browser.run(f"{IN_VIEW} truelift.render(d, slot, () => {{ throw new Error('no such component'); }})")
    visits.settled()


def hidden_tab(visits: Visits) -> None:
    visits.browser.minimize()
    visits.open()
    visits.browser.run(AWHILE)
    visits.browser.wait("document.visibilityState === 'hidden'")
    visits.leave()


def hidden_and_back(visits: Visits) -> None:
    visits.browser.minimize()
    visits.open()
    visits.browser.run(AWHILE)
    visits.browser.restore()
    visits.settled()


def under_automation(visits: Visits) -> None:
    visits.site.options = visits.site.options._replace(sdk={})
    visits.browser.open(visits.origin + CLIENT)
    visits.rendered()
    visits.browser.frames(10)
    visits.browser.run(AWHILE)


def too_late(visits: Visits) -> None:
    """The default is on the screen already."""
    visits.site.options = visits.site.options._replace(sdk={"automation": True, "flickerMs": 1})
    visits.browser.network(latency_ms=300)
    visits.open()
    visits.browser.network()
    assert visits.variant == "A"
    visits.settled()


def past_the_deadline(visits: Visits) -> None:
    """The decision comes, but nobody waits for it any more."""
    visits.site.options = visits.site.options._replace(deadline_ms=50, sdk={"automation": True, "flickerMs": 3000})
    visits.browser.network(latency_ms=300)
    visits.open()
    visits.browser.network()
    assert visits.variant == "A"
    visits.settled()


def slow_network(visits: Visits) -> None:
    visits.browser.network(latency_ms=300, bytes_per_second=20_000)
    visits.browser.open(visits.origin + CLIENT)
    visits.browser.wait("document.querySelector('[data-truelift-slot]')")
    # Until the decision is there nobody sees anything of the slot.
    opacity = "getComputedStyle(document.querySelector('[data-truelift-slot]')).opacity"
    assert visits.browser.run(f"return typeof rendered === 'object' ? {opacity} : '0'") == "0"
    visits.rendered()
    assert visits.browser.run(f"return {opacity}") == "1"
    visits.browser.network()
    visits.settled()


def higher_than_the_screen(visits: Visits) -> None:
    visits.style("h1 {margin-top: calc(100vh - 200px)} .nudge {height: 4000px}")
    visits.open()
    visits.settled()


def clipped(visits: Visits) -> None:
    visits.style("[data-truelift-slot] {overflow: hidden}")
    visits.open()
    visits.settled()


def back_and_forward(visits: Visits) -> None:
    visits.style(BELOW)
    visits.open()
    visits.browser.run("window.kept = true; addEventListener('pageshow', event => { window.again = event.persisted; })")
    visits.leave()
    visits.browser.back()
    visits.browser.wait("window.again")
    assert visits.browser.run("return window.kept") is True
    visits.scroll()
    visits.settled()


def offline_and_back(visits: Visits) -> None:
    visits.style(BELOW)
    visits.open()
    visits.browser.network(offline=True)
    visits.scroll()
    visits.browser.frames(10)
    visits.browser.network()
    visits.settled()


def offline_and_gone(visits: Visits) -> None:
    """What could not be sent is sent by the next page."""
    visits.style(BELOW)
    visits.open()
    visits.browser.network(offline=True)
    visits.scroll()
    visits.browser.frames(10)
    visits.browser.run("stop()")
    visits.browser.open("about:blank")
    visits.browser.network()
    visits.open()
    visits.settled()


def closed_at_once(visits: Visits) -> None:
    """Nothing but the beacon can have said it."""
    visits.browser.run(AWHILE)
    first = visits.browser.tab
    visits.browser.switch(visits.browser.new_tab())
    visits.open()
    visits.browser.frames(10)
    visits.browser.close_tab()
    visits.browser.switch(first)


SLOW = ("SOON_MS = 10,", "SOON_MS = 60000,")

SCENES = {
    "rendered again": Scene(rendered_again, 1, [(ONCE, "")]),
    "opened again": Scene(opened_again, 1, [(ONCE, "")]),
    "two tabs": Scene(two_tabs, 1, [(ONCE, "")]),
    "hidden by style": Scene(hidden_by_style, 0, [(STYLED, "true")]),
    "taken out of the page": Scene(taken_out_of_the_page, 0, [(SEEN, "inView = true;"), (STYLED, "true")]),
    "below the fold": Scene(below_the_fold, 0, [(SEEN, "inView = true;")]),
    "scrolled to": Scene(scrolled_to, 1, [("frame = frame || requestAnimationFrame(look);", "")]),
    "removed": Scene(removed, 0, [(SEEN, f"if (!inView) {SEEN}"), ("mark.isConnected && ", ""), (STYLED, "true")]),
    "failed": Scene(failed, 0, [('element.setAttribute(DONE, "failed");\n          return false;', "")]),
    "hidden tab": Scene(
        hidden_tab,
        0,
        [
            ('document.visibilityState === "visible" && ', ""),
            ("let inView = false", "let inView = true"),
            ("views.observe(mark);", "setTimeout(look, 0);"),
        ],
    ),
    "hidden and back": Scene(hidden_and_back, 1, [('document.visibilityState === "visible"', "false")]),
    "under automation": Scene(under_automation, 0, [("const bot = !o.automation && (", "const bot = false && (")]),
    "too late": Scene(
        too_late, 0, [('if (before === "late") return false;', 'if (before === "late") return watch(element, decision);')]
    ),
    "past the deadline": Scene(
        past_the_deadline,
        0,
        [("setTimeout(done, deadline)", "setTimeout(done, 5000)"), ("Math.ceil(deadline * ANSWER_SHARE)", "4000")],
    ),
    "slow network": Scene(slow_network, 1, [("signal: AbortSignal.timeout(ANSWER_MS)", "signal: AbortSignal.timeout(50)")]),
    "higher than the screen": Scene(higher_than_the_screen, 1, [("views.observe(mark);", "views.observe(element);")]),
    "clipped": Scene(clipped, 1, [('element.style.minHeight = element.style.minHeight || o.heightPx + "px";', "")]),
    "back and forward": Scene(
        back_and_forward, 1, [("views.observe(mark);", 'views.observe(mark); addEventListener("pagehide", stop);')]
    ),
    "offline and back": Scene(
        offline_and_back,
        1,
        [("later(Math.min(RETRY_MAX_MS", "change(kept => { kept.queue = []; }); later(Math.min(RETRY_MAX_MS")],
    ),
    "offline and gone": Scene(offline_and_gone, 1, [("try { localStorage.setItem(STORE, JSON.stringify(kept)); }", "try { }")]),
}
