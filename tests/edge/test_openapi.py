"""The OpenAPI document is served, describes every path, and no request made from it finds an error of ours."""

import os
from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from app.edge.application import DIALECTS
from tests.edge.process import PUBLIC_KEY, EdgeProcess

pytestmark = pytest.mark.kafka

# Of each operation and mode; for a long search: EDGE_TEST_EXAMPLES=500 pytest tests/edge/test_openapi.py
EXAMPLES = int(os.environ.get("EDGE_TEST_EXAMPLES", "4"))


def test_every_path_of_every_collector_is_described(edge: EdgeProcess) -> None:
    served = httpx.get(f"{edge.url}/openapi.json").json()
    described = {(path, method) for path, operations in served["paths"].items() for method in operations}
    wanted = {(path, "post") for dialect in DIALECTS for path in dialect.post_paths}
    wanted |= {(path, "get") for dialect in DIALECTS for path in dialect.get_paths}
    wanted |= {("/ofrep/v1/evaluate/flags", "post"), ("/ofrep/v1/evaluate/flags/{key}", "post"), ("/static/truelift.js", "get")}
    assert wanted <= described
    assert served["openapi"].startswith("3.1")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_made_from_the_document_finds_an_error_of_ours(edge: EdgeProcess, mode: GenerationMode) -> None:
    """positive: as the document says; negative: against it. Status codes are those that the document names."""
    schema = schemathesis.openapi.from_url(f"{edge.url}/openapi.json")
    answers: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.POSITIVE or operation.definition.raw.keys() & {"requestBody", "parameters"}:
            attempt(operation, mode, answers)
    assert answers.total() > EXAMPLES
    assert answers[200] or mode is GenerationMode.NEGATIVE


def attempt(operation: Any, mode: GenerationMode, answers: "Counter[int]") -> None:
    named = {int(status) for status in operation.definition.raw["responses"]}

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(operation.as_strategy(mode))
    def one(case: Any) -> None:
        answer = case.call(auth=(PUBLIC_KEY, ""))
        answers[answer.status_code] += 1
        assert answer.status_code < 500, (answer.status_code, answer.text)
        # What is no HTTP, a method that is not served and a path that is not there are refused before any operation.
        assert answer.status_code in named | {404, 405, 431}, (answer.status_code, answer.text)

    one()
