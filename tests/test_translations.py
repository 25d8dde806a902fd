"""The catalogues of translated texts: whole, right, compiled, and without a text left out."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from tests.translations import (
    APPS,
    KEYWORDS,
    compiled,
    path_of,
    sources,
    stored,
    texts_of,
    translations,
    untranslated,
)

PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[.\d]*[a-z%]|\{\w*\}|</?\w+>")
# What a template shows although nothing marks it: its tags and what they hold aside.
MARKED = re.compile(r"\{% blocktrans(?:late)?\b.*?\{% endblocktrans(?:late)? %\}", re.S)
CODE = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|&\w+;|<(script|style|svg)\b.*?</\1>", re.S)
SAID = re.compile(r'\b(?:title|alt|placeholder|aria-label|data-label)="([^"]*)"')
BLOCK_OF_CLASSES = re.compile(r"\{% block bodyclass %\}.*?\{% endblock %\}", re.S)


def keys(messages: object) -> set[tuple[object, object]]:
    return {(message.context, message.id) for message in messages if message.id}  # type: ignore


@pytest.mark.parametrize("app", APPS)
def test_every_text_is_translated_and_none_is_left_over(app: str):
    catalogue = stored(app)
    assert keys(catalogue) == keys(texts_of(app)), "run `make messages`"
    assert [message.id for message in untranslated(catalogue)] == []
    assert not catalogue.obsolete


@pytest.mark.parametrize("app", APPS)
def test_a_translation_names_the_values_that_its_text_names(app: str):
    wrong = [message.id for message in stored(app) if message.id and not _has_same_values(message)]
    assert wrong == []


def _has_same_values(message: Message) -> bool:
    text = message.id[-1] if isinstance(message.id, tuple) else message.id
    [translation] = translations(message)
    named = Counter(PLACEHOLDER.findall(text)), Counter(PLACEHOLDER.findall(translation))
    return message.context == "date format" or named[0] == named[1]


@pytest.mark.parametrize("app", APPS)
def test_what_is_compiled_is_what_the_catalogue_says(app: str):
    assert path_of(app, "mo").read_bytes() == compiled(stored(app)), "run `make messages`"


@pytest.mark.parametrize("app", APPS)
def test_no_particle_follows_a_value_that_it_must_fit(app: str):
    """A Korean particle depends on how the word before it ends; 은(는) and 을(를) fit any."""
    particle = re.compile(r"%\(\w+\)s[”」]?(?:은|는|이|가|을|를|과|와|으로|로)(?= )")
    found = [
        translation
        for message in stored(app)
        if message.id
        for translation in translations(message)
        if particle.search(translation)
    ]
    assert found == []


@pytest.mark.parametrize("app", APPS)
def test_no_text_of_a_template_is_left_unmarked(app: str):
    found = [
        (path.name, text)
        for path in sources(app)
        if path.suffix == ".html"
        for text in _unmarked(path)
    ]
    assert found == []


def _unmarked(path: Path) -> Iterator[str]:
    page = BLOCK_OF_CLASSES.sub("", MARKED.sub("", path.read_text()))
    said = " ".join(SAID.findall(page))
    for part in (re.sub(r"<[^>]*>", "\n", CODE.sub("\0", page)), CODE.sub("\0", said)):
        for line in part.splitlines():
            if re.search(r"[A-Za-z]{2,}", line):
                yield line.strip("\0 ")


@pytest.mark.parametrize("app", APPS)
def test_no_text_is_marked_where_it_is_not_found(app: str):
    """In a formatted string, or if it isn't written out, a text doesn't come into the catalogue."""
    found = [
        (path.name, ast.unparse(call))
        for path in sources(app)
        if path.suffix == ".py"
        for call in _hidden(ast.parse(path.read_text()))
    ]
    assert found == []


def _hidden(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield from (call for call in ast.walk(node) if _is_marking(call))  # type: ignore[misc]
        if _is_marking(node) and isinstance(node.args[0], ast.JoinedStr):  # type: ignore[attr-defined]
            yield node  # type: ignore[misc]


def _is_marking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and (node.func.id in KEYWORDS and KEYWORDS[node.func.id] != (2,))
    )
