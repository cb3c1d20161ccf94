"""A person at the console without a browser: logged in, and able to send what no page of it would."""

from typing import Any, Self

import httpx

from tests.console.conftest import PASSPHRASE, Console


class Visitor:
    """Use as a context manager. token: of this session, as every form carries it."""

    def __init__(self, console: Console, name: str) -> None:
        self._client = httpx.Client(base_url=console.url, headers={"origin": console.url}, timeout=30)
        self._name = name
        self.token = ""

    def __enter__(self) -> Self:
        answer = self._client.post("/login", data={"name": self._name, "passphrase": PASSPHRASE})
        assert answer.status_code == 303, answer.text
        self.token = self.get("/help").text.partition('name="csrf" value="')[2].partition('"')[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def post(self, path: str, **form: Any) -> httpx.Response:
        """With the token, unless the form has another."""
        return self._client.post(path, data={"csrf": self.token} | form)
