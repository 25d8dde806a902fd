"""What is secret by its name, and what is left of it in addresses, arguments and texts."""

import logging

import pytest

from tasks.masking import (
    MASK,
    MaskedValue,
    MaskingFormatter,
    hiding,
    is_secret_name,
    mask_json,
    mask_text,
    restore,
    secrets_in,
)


@pytest.mark.parametrize(
    "name",
    "token key password passwd secret signature sig auth api_token access_token X-Auth-Key apikey "
    "accessToken AWSAccessKeyId X-Amz-Signature passkey rsskey KEY tokens db-password".split(),
)
def test_a_name_is_secret_if_one_of_its_words_says_so(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", "monkey keyboard author signal design secretary keystroke tokenize KeyError q".split()
)
def test_a_name_is_not_secret_because_it_has_the_letters_of_such_a_word(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://h/?token=hunter2&page=3", "https://h/?token=•••&page=3"),
        ("https://h/?api%5Ftoken=hunter2#top", "https://h/?api%5Ftoken=•••#top"),
        ("https://h/#access_token=hunter2", "https://h/#access_token=•••"),
        ("https://h/?sig=hun'ter2", "https://h/?sig=•••"),
        ("https://me:hunter2@h/x", "https://•••@h/x"),
        ("https://me:hunt@er2@h/x", "https://•••@h/x"),
        ("see 'https://h/?key=hunter2', please", "see 'https://h/?key=•••', please"),
        ("https://p/?url=https%3A%2F%2Fh%2F%3Ftoken%3Dhunter2&n=1", "https://p/?url=•••&n=1"),
        (
            "“log in: https://me:hunter2@h/?token=hunter2” is saved",
            "“log in: https://•••@h/?token=•••” is saved",
        ),
        (
            "»https://h/?token=hunter2« and «https://h/?token=hunter2»",
            "»https://h/?token=•••« and «https://h/?token=•••»",
        ),
        (
            "see (https://h/?token=hunter2), or https://h/?token=hun.te,r)2.",
            "see (https://h/?token=•••), or https://h/?token=•••.",
        ),
        ("“https://p/?url=https%3A%2F%2Fh%2F%3Ftoken%3Dhunter2”.", "“https://p/?url=•••”."),
        ("see https://h/?token=hunter2.&page=3", "see https://h/?token=•••&page=3"),
        ("https://h/?a=1&amp;sig=hunter2&amp;b=2", "https://h/?a=1&amp;sig=•••&amp;b=2"),
        ("f(token='hunter2', n=1)", "f(token='•••', n=1)"),
        ('{"password": "hun\\"ter2", "n": 1}', '{"password": "•••", "n": 1}'),
        ('"{\\"token\\": \\"hunter2\\"}"', '"{\\"token\\": \\"•••\\"}"'),
        ("{&#x27;token&#x27;: &#x27;hunter2&#x27;}", "{&#x27;token&#x27;: &#x27;•••&#x27;}"),
    ],
)
def test_secrets_in_a_text_are_masked_and_the_rest_stays(text, masked):
    assert mask_text(text) == masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://h/?monkey=wise&page=3",
        "write to a@b.example or https://h/",
        "f(name='x')",
        "Failed for: KeyError: 'x'",
        "https://h/?token=&page=1",
        "“daily” finished after 0.1 s.",
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text):
    assert mask_text(text) == text


def test_arguments_are_masked_by_their_names_at_any_depth():
    value = {"a": [{"api_key": "x", "n": 1}], "password": {"old": "y", "tries": 3}, "key": None}
    assert mask_json(value) == {
        "a": [{"api_key": MASK, "n": 1}],
        "password": {"old": MASK, "tries": MASK},
        "key": None,
    }


def test_known_secrets_are_hidden_in_texts_however_they_are_written():
    with hiding(["hun'ter&2", "abc"]):
        assert mask_text("got hun'ter&2") == "got •••"
        assert mask_text("got hun%27ter%262, hun&#x27;ter&amp;2") == "got •••, •••"
        assert mask_text("abc is too short to tell") == "abc is too short to tell"
        with hiding(["another"]):
            assert mask_text("hun'ter&2 and another") == "••• and •••"
    assert mask_text("hun'ter&2") == "hun'ter&2"


def test_the_secrets_in_a_value_are_found():
    value = {"token": ["hunter2"], "url": "https://me:passw@h/?sig=abc", "n": 1}
    assert list(secrets_in(value)) == ["hunter2", "passw", "abc"]


def test_what_is_typed_over_a_masked_value_keeps_the_secrets_that_did_not_change():
    stored = {"token": "hunter2", "n": [1, "https://h/?key=x"], "gone": 1}
    typed = {"token": MASK, "n": [2, "https://h/?key=•••"], "new": "y"}
    assert restore(typed, mask_json(stored), stored) == {
        "token": "hunter2",
        "n": [2, "https://h/?key=x"],
        "new": "y",
    }
    assert restore("a\r\n?key=•••", "a\n?key=•••", "a\n?key=x") == "a\n?key=x"
    assert restore([True], [1], [1]) == [True]


@pytest.mark.parametrize("typed", [["b", MASK], ["https://evil/?key=•••"], [{"a": [MASK]}]])
def test_a_mask_that_stands_for_no_known_secret_is_refused(typed):
    stored = ["https://h/?key=x"]
    with pytest.raises(MaskedValue):
        restore(typed, mask_json(stored), stored)


def test_lines_of_the_log_are_masked_with_their_tracebacks():
    try:
        raise ValueError("https://me:hunter2@h/?token=hunter2")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("x", 30, "p", 1, "f(%s)", ("password='hunter2'",), info)
    line = MaskingFormatter("%(levelname)s %(message)s").format(record)
    assert line.startswith("WARNING f(password='•••')\nTraceback")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "part", ["?a=%3D", ";a=%3D", "//", "key='", "?key=", "@", "a", "key=&quot;", "%25", "?a=%25&"]
)
def test_a_long_text_does_not_take_long_to_mask(part):
    text = mask_text(part * 50_000)  # If the time grew with the square, this would not end.
    assert mask_text(text) == text
