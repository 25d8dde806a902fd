"""PURE: the words of safe HTML, and those that people look for."""

import html
import re
from collections.abc import Iterable
from typing import NamedTuple

# More than anybody reads, and within what PostgreSQL can index of one text.
MAX_WORDS = 100_000  # characters
MAX_TERMS = 20
MAX_QUERY = 1_000  # characters

_TAG = re.compile(r'</?([a-zA-Z][a-zA-Z0-9]*)[^<>"]*(?:"[^"]*"[^<>"]*)*>')
# Elements that stand inside a word or a line: all others part what is before and after them.
_INLINE = frozenset(
    "a abbr b bdi bdo cite code dfn em font i ins kbd mark q s samp small span strike strong sub "
    "sup tt u var wbr".split()
)
_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def storable(text: str) -> str:
    """Return a text without what databases refuse, each of it a space."""
    return _UNSTORABLE.sub(" ", text)


def searchable(texts: Iterable[str], more: Iterable[str] = ()) -> str:
    """Return the words of safe HTML, and of `more`, which is plain text, on one line."""
    plain = [html.unescape(_TAG.sub(_gap, text[: 5 * MAX_WORDS])) for text in texts]
    return " ".join(storable(" ".join((*plain, *more))).split())[:MAX_WORDS]


class Term(NamedTuple):
    """What somebody looks for: words as they stand (`is_whole`), or how a word begins."""

    text: str
    is_whole: bool = False


def terms(text: str) -> list[Term]:
    """Return what somebody looks for; what was in double quotes is looked for as it stands.

    What has no letter or digit in it is left out, and so is what comes after the first 20. A quote
    that isn't closed reaches to the end.
    """
    found: list[Term] = []
    text = storable(text[:MAX_QUERY]).replace("“", '"').replace("”", '"')
    for place, part in enumerate(text.split('"')):
        words = part.split()
        found += [Term(" ".join(words), is_whole=True)] if place % 2 else map(Term, words)
    return [term for term in found if any(map(str.isalnum, term.text))][:MAX_TERMS]


def _gap(tag: re.Match[str]) -> str:
    return "" if tag[1].lower() in _INLINE else " "
