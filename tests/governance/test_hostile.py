"""Whatever is in a file or in a signed record, the answer is problems or a refusal, never an exception."""

import copy
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.contract.catalogue import DEFAULT_CATALOGUE
from app.contract.policy import Policy
from app.engine.policies import PolicyInForce, compile_policies
from app.governance.drafts import Draft
from app.governance.moves import RECORD_TYPES
from app.governance.raw import MAX_INTEGER
from app.governance.rules import body_problems

KEY = "onboarding_nudge_v1"
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["A", "page_view", "global", "onboarding.nudge", "none", "sensitive", "$eq", "daily 06:00"]),
)
NAMES = st.sampled_from(["key", "event", "$regex", "$inGroup", "$and", "$not", "slot", "name", "range", "a", ""])
JSON = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)), max_leaves=6
)
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, child in children for place in places(child, (*path, name)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
def test_a_body_with_anything_anywhere_has_problems_or_compiles(data: st.DataObject, body: dict[str, Any]) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        body = replaced(body, data.draw(st.sampled_from(places(body))), data.draw(JSON))
    if any(not problem.warning for problem in body_problems(body, DEFAULT_CATALOGUE)):
        return
    policy = Policy.model_validate(body)
    entry = PolicyInForce(policy.key, "active", 1, 1, policy.ramp[0], policy, {1: policy})
    assert policy.key in compile_policies(1, DEFAULT_CATALOGUE, [entry], {}).by_key


def small(value: Any) -> Any:
    """What a writer can put into canonical JSON at all."""
    if isinstance(value, dict):
        return {name: small(child) for name, child in value.items()}
    if isinstance(value, list):
        return [small(child) for child in value]
    if isinstance(value, float):
        return 0
    return value % MAX_INTEGER if isinstance(value, int) and not isinstance(value, bool) else value


@given(
    record_type=st.sampled_from(RECORD_TYPES),
    body=st.dictionaries(
        st.sampled_from(
            ["key", "to", "target", "state", "coverage_permille", "event_types", "roles", "key_id", "what_if_digest"]
        ),
        JSON,
        max_size=4,
    ),
    policy=st.sampled_from([None, KEY, "other"]),
    version=st.sampled_from([None, 0, 1, 2, -1]),
    who=st.sampled_from(["root", "ana", "otto", "ben", "guard", "ramper"]),
)
@example(record_type="keys", body={"roles": [{}]}, policy=None, version=None, who="root")
@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
def test_a_signed_record_with_anything_in_it_is_applied_or_refused(
    full_ledger: Any, record_type: Any, body: Any, policy: Any, version: Any, who: str
) -> None:
    full_ledger.rewound(full_ledger.start)
    full_ledger.write(who, Draft(record_type, policy, version, small(body)))
    full_ledger.fold.policies()


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
def test_a_keys_or_catalogue_record_with_anything_anywhere_is_applied_or_refused(data: st.DataObject, full_ledger: Any) -> None:
    full_ledger.rewound(full_ledger.start)
    catalogue = full_ledger.fold.catalogue.model_dump(mode="json")
    keys = {"key_id": "k", "public_key": "p", "actor": "a", "roles": ["author"], "not_after": None, "revoked": False}
    kind, good = data.draw(st.sampled_from([("catalogue", catalogue), ("keys", keys)]))
    changed = replaced(good, data.draw(st.sampled_from(places(good)[1:])), small(data.draw(JSON)))
    full_ledger.write("root", Draft(kind, None, None, changed))
    full_ledger.fold.policies()
