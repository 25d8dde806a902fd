"""Safe HTML: nothing that runs, styles or loads by itself, except images."""

import html
import re
from collections import Counter

import nh3

from feeds.reading.result import MAX_TEXT
from feeds.reading.text import CONTROL, plain_text

MAX_HTML = 500_000  # characters of one HTML text
MAX_DEPTH = 200
URL_SCHEMES = {"http", "https", "mailto"}

_TAG_START = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*)")
# Elements that don't nest: empty ones, and those that the next of their kind closes.
_FLAT = frozenset(
    "area base br col embed hr img input link meta source track wbr "
    "p li dt dd option tr td th thead tbody tfoot".split()
)

_EMBEDDED = re.compile(
    r"<(/?)(amp-audio|amp-iframe|amp-img|amp-video|audio|embed|frame|iframe|img|noscript|object|"
    r"picture|source|video)(?=[\s/>])([^<>]*)>",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""")
_FRAMES = frozenset({"iframe", "frame", "embed", "object", "amp-iframe"})
_PLAYERS = frozenset({"video", "audio", "amp-video", "amp-audio"})
# Where a script would take an image from, once the reader has scrolled to it.
_LAZY = (
    "data-src data-original data-lazy-src data-original-src data-orig-file data-actualsrc data-url "
    "data-hi-res-src data-echo"
).split()
_LAZY_SETS = ("srcset", "data-srcset", "data-lazy-srcset")


def safe_html(markup: str, base: str) -> str:
    """Return HTML without anything that runs, styles or loads by itself, except images.

    Relative links are made absolute with `base`. An embedded frame or video becomes a link to it,
    and an image that a script would load has its source. Markup that is nested too deeply comes
    back as text: the sanitiser's time grows with the square of the depth.
    """
    markup = CONTROL.sub("", markup[:MAX_HTML])
    if _depth(markup) > MAX_DEPTH:
        return html.escape(plain_text(markup, MAX_HTML))
    # Once it is made, it cleans in half the time that `nh3.clean` takes.
    cleaner = nh3.Cleaner(
        url_schemes=URL_SCHEMES,
        url_relative=("rewrite_with_base", base) if len(base) <= MAX_TEXT else "deny",
    )
    cleaned = cleaner.clean(_Embedded().replaced(markup))
    if len(cleaned) > 2 * MAX_HTML:
        return html.escape(plain_text(markup, MAX_HTML))
    # Character references can bring control characters back. They are replaced, not removed:
    # removing anything from sanitised HTML could join what the sanitiser saw as separate.
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", cleaned)


def safe_text(text: str) -> str:
    """Return plain text as safe HTML."""
    return html.escape(CONTROL.sub("", text[:MAX_HTML])).replace("\n", "<br>")


def without_images(safe: str) -> str:
    """Return safe HTML that makes a browser load nothing."""
    return nh3.clean(safe, tags=nh3.ALLOWED_TAGS - {"img"}, url_schemes=URL_SCHEMES)


def best_of_srcset(candidates: str) -> str:
    """Return the address of the largest image of a `srcset`."""
    best, largest = "", -1.0
    # A comma may be part of an address, but none ends in one.
    for candidate in re.split(r",\s+|,(?=https?://|//|/)", candidates.strip()):
        address, _, size = candidate.strip().rstrip(",").partition(" ")
        try:
            number = float(size.strip()[:-1] or 1)
        except ValueError:
            number = 0.0
        if address and number > largest:
            best, largest = address, number
    return best


class _Embedded:
    """What a piece of HTML embeds, replaced by what is left of it when nothing may be embedded.

    What comes out is no safer than what went in: it is sanitised after this.
    """

    def __init__(self) -> None:
        self._player_without_source = False
        self._picture = ""

    def replaced(self, markup: str) -> str:
        return _EMBEDDED.sub(self._replaced, self._without_doubles(markup))

    @staticmethod
    def _without_doubles(markup: str) -> str:
        # In front of an image for readers without scripts stands one for a script: the same one.
        if "<noscript" not in markup.lower():
            return markup
        return re.sub(r"<img\b[^<>]*>\s*(?=<noscript\b[^<>]*>\s*<img\b)", "", markup, flags=re.I)

    def _replaced(self, match: re.Match[str]) -> str:
        closing, name = match[1], match[2].lower()
        if closing:
            return ""
        values = {
            key.lower(): double or single or bare
            for key, double, single, bare in reversed(_ATTRIBUTE.findall(match[3]))
        }
        if name in _FRAMES:
            sources = (values.get(key, "") for key in ("data-src", "src", "data"))
            return _link(next(filter(None, sources), ""), values)
        if name in _PLAYERS:
            self._player_without_source = "src" not in values
            return _link(values.get("src", ""), values)
        if name == "source":
            return self._source(values)
        if name in ("img", "amp-img"):
            return self._image(match[3], values)
        self._picture = ""
        return ""

    def _source(self, values: dict[str, str]) -> str:
        self._picture = self._picture or _lazy_source(values)
        if not self._player_without_source:
            return ""
        self._player_without_source = False
        return _link(values.get("src", ""), values)

    def _image(self, attributes: str, values: dict[str, str]) -> str:
        source = values.get("src", "").strip()
        is_missing = not source or source.startswith(("data:", "about:"))
        lazy = next((values[key] for key in _LAZY if values.get(key)), "")
        if not lazy and is_missing:
            lazy = _lazy_source(values) or self._picture
        # Of two attributes of the same name the first counts.
        first = f' src="{_quoted(lazy)}"' if lazy else ""
        return f"<img{first} {attributes.rstrip('/')}>"


def _lazy_source(values: dict[str, str]) -> str:
    sets = (best_of_srcset(values[key]) for key in _LAZY_SETS if values.get(key))
    return next((found for found in sets if not found.startswith("data:")), "")


def _link(address: str, values: dict[str, str]) -> str:
    if not address or address.startswith(("data:", "about:", "javascript:")):
        return ""
    text = html.escape(html.unescape(values.get("title") or address))
    return f'<p><a href="{_quoted(address)}">{text}</a></p>'


def _quoted(value: str) -> str:
    return value.replace('"', "&quot;").strip()


def _depth(markup: str) -> int:
    """Estimate how deeply the elements are nested: too deep rather than not deep enough."""
    depth = deepest = 0
    unclosed: Counter[str] = Counter()
    for closing, name in _TAG_START.findall(markup):
        name = name.lower()
        if name in _FLAT or (closing and not unclosed[name]):
            continue
        step = -1 if closing else 1
        unclosed[name] += step
        depth += step
        deepest = max(deepest, depth)
    return deepest
