"""What rows hold can be stored by every database."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.storable import (
    StorableResult,
    as_json,
    canonical_json,
    clean_text,
    failure_reason,
    storable_result,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.just("key"), inner),
    max_leaves=5,
)  # fmt: skip


@given(json_values)
def test_json_stays_as_it_is(value: Any):
    assert as_json(value) == (value, None)


@given(st.text(st.sampled_from("a\\u0\0\ud800\udfff한")))
def test_what_no_database_stores_is_replaced_and_nothing_else(text: str):
    value, not_json = as_json(text)
    assert (value, not_json) == (clean_text(text), None)


def test_a_result_whose_own_class_raises_is_not_json():
    class Broken(dict):
        def items(self) -> Any:
            raise RuntimeError

    assert as_json(Broken(a=1))[1].endswith("Broken")


@given(st.text(st.characters()))
def test_clean_text_can_be_stored(text: str):
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines"), "Failed for: ValueError: two lines"),
        (ValueError(), "Failed for: ValueError"),
        (KeyError("a"), "Failed for: KeyError: 'a'"),
        (ValueError("\ud800"), "Failed for: ValueError: ?"),
    ],
    ids=["lines", "empty", "quoted", "surrogate"],
)
def test_a_failure_has_a_reason_of_one_line(error: Exception, reason: str):
    assert failure_reason(error) == reason


def test_a_reason_fits_its_field():
    assert len(failure_reason(ValueError("x" * 10_000))) == 500


def test_a_result_that_is_nested_too_deeply_is_not_kept():
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    value, what = as_json(deep)
    assert value is None
    assert what == "builtins.list, nested more than 50 levels deep"


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1})


@given(json_values)
def test_a_result_within_the_limit_stays_as_it_is(value: Any):
    assert storable_result(value, 10_000) == StorableResult(value)


@pytest.mark.parametrize("result", ["한" * 10**6, ['"'] * 10**6, {"a\0": "\ud800" * 10**6}])
def test_of_a_result_that_is_too_large_size_type_and_beginning_are_kept(result: Any):
    stored = storable_result(result, 5_000)
    size = len(json.dumps(as_json(result)[0], ensure_ascii=False).encode())
    name = f"builtins.{type(result).__name__}"
    description = {"truncated": True, "size": size, "type": name}
    assert stored.too_large == size
    assert stored.value == description | {"beginning": stored.value["beginning"]}
    assert json.dumps(as_json(result)[0], ensure_ascii=False).startswith(stored.value["beginning"])
    assert 2_500 < len(json.dumps(stored.value, ensure_ascii=False).encode()) <= 5_000


def test_a_result_that_is_not_json_is_not_too_large_either():
    assert storable_result({1} | set(range(10**5)), 1_024) == StorableResult(None, "builtins.set")
