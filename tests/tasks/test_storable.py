"""What rows hold can be stored by every database."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.storable import as_json, canonical_json, clean_text, failure_reason

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
