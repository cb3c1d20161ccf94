"""A browser, the sample site on an origin of its own, and a whole installation behind it."""

from collections.abc import Iterator

import pytest

from app.edge.sample.site import SiteOptions
from tests.edge.browser.driver import Browser, missing
from tests.edge.browser.site import PlayedSite, served
from tests.edge.browser.visitor import Visits
from tests.edge.playground import Playground
from tests.edge.process import PUBLIC_KEY, SERVER_KEY

# Long enough that a busy machine is never the reason for a fallback.
PATIENT_MS = 8_000


@pytest.fixture(scope="session")
def chromium() -> None:
    """Skips where there is none and none can be installed."""
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def options(playground: Playground) -> SiteOptions:
    return SiteOptions(playground.edge.url, PUBLIC_KEY, SERVER_KEY, PATIENT_MS, {"automation": True})


@pytest.fixture(scope="session")
def running_site(options: SiteOptions, site_port: int) -> Iterator[PlayedSite]:
    site = PlayedSite(options)
    with served(site, site_port):
        yield site


@pytest.fixture
def site(running_site: PlayedSite, options: SiteOptions) -> PlayedSite:
    """With the SDK as the edge serves it, whatever the test before did."""
    running_site.options = options
    return running_site


@pytest.fixture(scope="session")
def running_browser(chromium: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def visits(running_browser: Browser, site: PlayedSite, site_port: int, playground: Playground) -> Iterator[Visits]:
    """Visitors in the one browser; what the test has changed of the browser is undone."""
    visits = Visits(running_browser, site, f"http://127.0.0.1:{site_port}", playground)
    yield visits
    visits.close()
