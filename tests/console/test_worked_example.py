"""The worked example by clicking: proposed, approved by a second person, active, decided live, killed; nobody treated then."""

import time
import uuid

import httpx
import pytest
import yaml

from app.chaos.policies import policy
from app.contract.times import format_us
from tests.console.conftest import Console
from tests.console.person import Person
from tests.edge.browser.driver import Browser
from tests.edge.process import PUBLIC_KEY

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KEY = "console_try"
AUDIT_SECONDS = 90


def signal(console: Console, user: str, route: str = "/") -> None:
    event = {"event_name": "page_view", "event_id": str(uuid.uuid4()), "user_id": user, "session_id": "s"}
    event |= {"ts": format_us(time.time_ns() // 1_000), "properties": {}, "context": {"route": route}}
    answer = httpx.post(f"{console.playground.edge.url}/v1/events", json=[event], auth=(PUBLIC_KEY, ""), timeout=20)
    assert answer.status_code == 200, answer.text


def test_propose_approve_activate_watch_and_kill_by_clicking(console: Console, browser: Browser) -> None:
    person = Person(browser, console.url)
    body = policy(KEY, "page_view", "hero.variant", holdout=None)

    person.log_in("ann")
    person.sees("Signals")
    person.open("/propose")
    person.fill("[name=body]", yaml.safe_dump(body | {"unit": "nobody"}))
    person.fill("[name=reason]", "first try")
    person.click("main form button")
    person.sees("To be mended")
    assert browser.run("return document.querySelectorAll('.listing .wrong').length") == 1
    person.fill("[name=body]", yaml.safe_dump(body))
    person.click("main form button")
    person.sees("proposed by")
    assert browser.run("return document.querySelector('form[action$=approved]')") is None, "four eyes"

    person.log_in("bob")
    person.sees("Signals")
    person.open(f"/policies/{KEY}")
    assert browser.run("return document.querySelector('form[action$=killed]')") is None, "an approver does not operate"
    person.move(KEY, "approved", "read it")
    person.sees("bob (approver)")

    person.log_in("ann")
    person.sees("Signals")
    person.open(f"/policies/{KEY}")
    person.click("[name=without_readiness]")
    person.move(KEY, "activated", "go")
    person.sees("● active")
    signal(console, "before-the-kill")
    browser.wait("[...document.querySelectorAll('[data-live] td')].some(cell => cell.innerText === 'assigned')")

    person.open(f"/policies/{KEY}/experiment")
    person.sees("Arms are kept apart from outcomes")
    person.click("form[action$=audit] button")
    browser.wait("document.querySelectorAll('.points .check').length === 10", seconds=AUDIT_SECONDS)

    person.open(f"/policies/{KEY}")
    person.move(KEY, "killed", "support calls")
    person.sees("killed by ann: support calls")
    for number in range(8):
        signal(console, f"after-{number}")
    person.sees("2 of 2 partitions decide by it")
    person.sees("Treatment stopped")
    person.open("/users?unit=after-1")
    person.sees("killed")


def test_a_page_of_another_site_another_session_and_a_person_without_the_role_write_nothing(console: Console) -> None:
    with httpx.Client(base_url=console.url, headers={"origin": console.url}) as client:
        assert client.get("/policies").headers["location"] == "/login"
        login = client.post("/login", data={"name": "bob", "passphrase": "correct horse battery"})
        assert login.status_code == 303
        page = client.get("/policies/checkout_copy").text
        token = page.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": token, "reason": "no", "version": "1"}
        kill = "/policies/checkout_copy/killed"
        assert client.post(kill, data=form).status_code == 403, "bob approves, and does not operate"
        assert client.post("/propose", data=form | {"body": "key: x"}).status_code == 403
        assert client.post(kill, data=form | {"csrf": "x"}).status_code == 403
        assert client.post("/logout", data=form, headers={"origin": "https://evil.example"}).status_code == 403
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421
        assert client.post("/logout", data={"csrf": "x"}).status_code == 403, "the token is what is missing"
        assert client.post("/logout", data=form).status_code == 303, "and with it the same request is taken"
        assert client.get("/policies").status_code == 303


def test_every_answer_has_the_strict_policy_and_guessing_is_bounded(console: Console) -> None:
    with httpx.Client(base_url=console.url, headers={"origin": console.url}, timeout=30) as client:
        page, style = client.get("/login").headers, client.get("/static/console.css").headers
        assert "script-src 'self'" in page["content-security-policy"]
        assert (page["cache-control"], style["cache-control"]) == ("no-store", "private, max-age=600")
        tries = [client.post("/login", data={"name": "nobody", "passphrase": "x" * 12}).status_code for _ in range(6)]
        assert tries == [403] * 5 + [429]
