"""The languages that the site offers."""

import pytest

from project.languages import offered


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("en-us", ["en", "ko"]),
        ("en", ["en", "ko"]),
        ("ko", ["en", "ko"]),
        ("en-gb", ["en-gb", "ko"]),
        ("de", ["en", "ko", "de"]),
        ("de-at", ["en", "ko", "de-at"]),
    ],
)
def test_the_sites_own_language_is_always_among_those_offered(own: str, expected: list[str]):
    assert [code for code, _ in offered(own)] == expected
