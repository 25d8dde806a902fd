"""RSS, RDF, CDF and Atom: a document's text, put through feedparser.

feedparser's own `parse` guesses the character set, resolves what it reads against an address, which
would change the guids with a redirect, and reads broken XML with a parser for HTML at once. Here
broken XML is mended first, and its parsers get some additions.
"""

import html.entities
import io
import re
import xml.sax
import xml.sax.handler
import xml.sax.xmlreader
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.sax.expatreader import ExpatParser

from feedparser.api import LooseFeedParser, StrictFeedParser
from feedparser.sanitizer import replace_doctype
from feedparser.util import FeedParserDict

from feeds.reading.markup import best_of_srcset
from feeds.reading.result import MAX_TEXT
from feeds.reading.text import clean_text, web_link

_ROOT = re.compile(
    r"<!--|<(?:[\w.-]+:)?(?P<feed>rss|feed|rdf|channel)(?=[\s/>])"
    r"|<(?P<page>html|head|body)(?=[\s/>])",
    re.IGNORECASE,
)
_XML = re.compile(r"<\?xml\s", re.IGNORECASE)
_START = re.compile(r"<!doctype\s|<!--|<\?", re.IGNORECASE)
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*>\s*", re.IGNORECASE)
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# An RDF document is a feed if it uses one of these.
_RSS_IN_RDF = ("purl.org/rss/", "netscape.com/rdf/simple/0.9")


@dataclass(slots=True)
class Document:
    """What feedparser read: `feed` and `entries` as it knows them, and what is wrong with it."""

    feed: Any
    entries: list[Any]
    version: str
    defects: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Root:
    """The first element that tells what a document is: a feed (`rss`, …) or a page (`html`)."""

    name: str
    is_page: bool
    position: int


def find_root(text: str) -> Root | None:
    """Return what a document is by its root element, whatever stands in front of it."""
    position = 0
    while match := _ROOT.search(text, position):
        if match["feed"] or match["page"]:
            name = (match["feed"] or match["page"]).lower()
            return Root(name, is_page=not match["feed"], position=match.start())
        position = text.find("-->", match.end())
        if position < 0:
            break
    return None


def read_document(text: str, root: Root, url: str) -> Document | None:
    """Read a document with this root element, which came from `url`; None if it is no feed.

    Broken XML is read as far as possible.
    """
    text = _ILLEGAL.sub("", _without_junk(text, root))
    document = _read(text, root.name, url)
    if document.entries or document.version:
        return document
    if root.name == "rdf" and not any(name in text for name in _RSS_IN_RDF):
        return None
    return document if root.name in ("rdf", "channel") else None


def _without_junk(text: str, root: Root) -> str:
    """Leave out what a server printed in front of the document, and the XML declaration."""
    start = _XML.search(text, 0, root.position) or _START.search(text, 0, root.position)
    text = text[start.start() if start else root.position :]
    while match := _DECLARATION.match(text):
        text = text[match.end() :]
    return text


def _read(text: str, root: str, url: str) -> Document:
    try:
        return _read_strictly(text, url)
    except xml.sax.SAXException as error:
        defect = _described(error)
    mended = mend(text, root)
    is_cut_off = not _end_of(text, root)
    try:
        document = _read_strictly(mended, url)
    except xml.sax.SAXException:
        document = _read_loosely(mended, url, is_cut_off)
    if is_cut_off:
        document.defects.append("it is cut off")
    document.defects.append(defect)
    return document


def _described(error: xml.sax.SAXException) -> str:
    message = clean_text(error.getMessage(), 100)
    if isinstance(error, xml.sax.SAXParseException) and error.getLineNumber() is not None:
        return f"{message} (line {error.getLineNumber()})"
    return message


def _prepared(text: str) -> tuple[str | None, bytes, dict[str, str]]:
    return replace_doctype(b"<?xml version='1.0' encoding='utf-8'?>" + text.encode())


def _read_strictly(text: str, url: str) -> Document:
    version, data, _ = _prepared(text)
    parser = _StrictParser(url)
    sax = _Expat()
    sax.setFeature(xml.sax.handler.feature_namespaces, True)
    sax.setFeature(xml.sax.handler.feature_external_ges, False)
    sax.setContentHandler(parser)
    sax.setErrorHandler(parser)
    source = xml.sax.xmlreader.InputSource()
    source.setByteStream(io.BytesIO(data))
    sax.parse(source)
    return Document(parser.feeddata, parser.entries, version or parser.version)


def _read_loosely(text: str, url: str, is_cut_off: bool) -> Document:
    version, data, entities = _prepared(text)
    parser = _LooseParser(url, entities)
    parser.feed(data.decode())
    # Half an entry would be taken for the whole one, or for another.
    entries = parser.entries[:-1] if is_cut_off and parser.inentry else parser.entries
    return Document(parser.feeddata, entries, version or parser.version)


# Mending

_REFERENCE = re.compile(r"&(?:#(\d{1,8}|[xX][\da-fA-F]{1,7});|([A-Za-z][\w.-]{0,40});)?")
_STRAY_SIGN = re.compile(r"<(?![A-Za-z_/!?:])")
_LITERAL = {"<![CDATA[": "]]>", "<!--": "-->", "<?": "?>", "<!DOCTYPE": ">"}
_LITERAL_START = re.compile(r"<!\[CDATA\[|<!--|<\?|<!DOCTYPE")
_ENTRY_END = re.compile(r"</(?:[\w.-]+:)?(?:item|entry)\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"<!ENTITY\s+([\w.-]+)")
_PREFIX = re.compile(r"</?([A-Za-z_][\w.-]*):|\s([A-Za-z_][\w.-]*):[\w.-]+\s*=")
_NAMESPACES = {
    "atom": "http://www.w3.org/2005/Atom",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "feedburner": "http://rssnamespace.org/feedburner/ext/1.0",
    "itunes": "http://www.itunes.com/dtds/podcast-1.0.dtd",
    "media": "http://search.yahoo.com/mrss/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "slash": "http://purl.org/rss/1.0/modules/slash/",
    "sy": "http://purl.org/rss/1.0/modules/syndication/",
    "wfw": "http://wellformedweb.org/CommentAPI/",
}


def mend(text: str, root: str) -> str:
    """Return a document with the usual faults of XML mended.

    These are bare `&` and `<`, references to what isn't there, prefixes that nobody declared, what
    follows after its end, and half an entry where it is cut off.
    """
    end = _end_of(text, root)
    text = text[:end] if end else _closed_after_last_entry(text, root)
    declared = frozenset(_ENTITY.findall(text[:20_000]))
    return _with_prefixes("".join(_mended(text, declared)), root)


def _end_of(text: str, root: str) -> int:
    ends = [
        match.end() for match in re.finditer(rf"</(?:[\w.-]+:)?{root}\s*>", text, re.IGNORECASE)
    ]
    return ends[-1] if ends else 0


def _closed_after_last_entry(text: str, root: str) -> str:
    start = re.search(rf"<((?:[\w.-]+:)?{root})(?=[\s/>])", text, re.IGNORECASE)
    ends = [match.end() for match in _ENTRY_END.finditer(text)]
    if start is None or not ends:
        return text
    channel = re.search(r"<(channel)(?=[\s>])", text[: ends[0]], re.IGNORECASE)
    closing = f"</{channel[1]}>" if channel and root == "rss" else ""
    return f"{text[: ends[-1]]}{closing}</{start[1]}>"


def _mended(text: str, declared: frozenset[str]) -> Iterator[str]:
    """Yield the pieces of a document; CDATA sections and comments stay as they are."""
    position = 0
    while match := _LITERAL_START.search(text, position):
        yield _mended_piece(text[position : match.start()], declared)
        end = text.find(_LITERAL[match[0]], match.end())
        if end < 0:
            yield text[match.start() :]
            return
        position = end + len(_LITERAL[match[0]])
        yield text[match.start() : position]
    yield _mended_piece(text[position:], declared)


def _mended_piece(text: str, declared: frozenset[str]) -> str:
    def mended(match: re.Match[str]) -> str:
        number, name = match[1], match[2]
        if number:
            code = int(number[1:], 16) if number[0] in "xX" else int(number)
            is_character = code < 0x110000 and not _ILLEGAL.match(chr(code))
            return match[0] if is_character else ""
        if name in ("amp", "lt", "gt", "quot", "apos") or name in declared:
            return match[0]
        character = html.entities.html5.get(f"{name};")
        return (
            "".join(f"&#{ord(one)};" for one in character) if character else f"&amp;{match[0][1:]}"
        )

    return _STRAY_SIGN.sub("&lt;", _REFERENCE.sub(mended, text))


def _with_prefixes(text: str, root: str) -> str:
    used = {first or second for first, second in _PREFIX.findall(text)} - {"xml", "xmlns"}
    missing = sorted(prefix for prefix in used if f"xmlns:{prefix}" not in text)[:50]
    declarations = "".join(
        f' xmlns:{prefix}="{_NAMESPACES.get(prefix, f"urn:undeclared:{prefix}")}"'
        for prefix in missing
    )
    return re.sub(
        rf"<(?:[\w.-]+:)?{root}(?=[\s/>])",
        lambda match: match[0] + declarations,
        text,
        count=1,
        flags=re.IGNORECASE,
    )


# Additions to feedparser's parsers

# Elements whose content is text, and what some put around it.
_TEXTS = frozenset({"id", "published", "updated", "created", "link", "comments"})
_FORMATTING = frozenset("a b br code div em font h1 h2 h3 i p span strong time u".split())
_EMAIL = re.compile(r"[^\s<>()&;,]+@[^\s<>()&;,]+")
_ADDRESSES = frozenset({"href", "src", "poster", "cite", "data", "data-src", "longdesc"})


class _TextParameters(FeedParserDict):
    """What feedparser knows of the text that it reads.

    It looks that up for each piece, and copies it for each text. Its own dicts try other names of a
    key at each look, and are copied as if anything could be in them.
    """

    __getitem__ = dict.__getitem__
    __setitem__ = dict.__setitem__
    __contains__ = dict.__contains__
    get = dict.get

    def __deepcopy__(self, memo: Any) -> "_TextParameters":
        return _TextParameters(self)


class _Additions:
    """What both of feedparser's parsers do besides: bases, skipped hours, links, plain guids.

    `baseuri` stays empty until an `xml:base` says what it is, and is absolute from then on.
    """

    document_url: str
    baseuri: str
    basestack: list[str]
    elementstack: list[list[Any]]
    feeddata: Any
    contentparams: Any
    version: str
    ignored: int

    def _prepare(self, url: str) -> None:
        self.document_url = url
        self.ignored = 0
        self.contentparams = _TextParameters()
        self.resolve_relative_uris = False
        self.sanitize_html = False

    def unknown_starttag(self, tag: str, attrs: list[tuple[str, str]]) -> None:
        if self._formats_text(tag):
            self.ignored += 1
            return
        attrs = [(key, self._absolute_base(key, value)) for key, value in attrs]
        super().unknown_starttag(tag, [pair for pair in attrs if pair[1] is not None])  # type: ignore[misc]

    def unknown_endtag(self, tag: str) -> None:
        if self.ignored and self._formats_text(tag):
            self.ignored -= 1
            return
        super().unknown_endtag(tag)  # type: ignore[misc]
        # It wouldn't go back to no base.
        self.baseuri = self.basestack[-1] if self.basestack else ""

    def _formats_text(self, tag: str) -> bool:
        in_text = bool(self.elementstack) and self.elementstack[-1][0] in _TEXTS
        return in_text and tag.removeprefix("xhtml:") in _FORMATTING

    def push_content(self, *args: Any) -> None:
        super().push_content(*args)  # type: ignore[misc]
        self.contentparams = _TextParameters(self.contentparams)

    def _absolute_base(self, key: str, value: str) -> Any:
        if key not in ("xml:base", "base"):
            return value
        return web_link(value, self.baseuri or self.document_url) or self.baseuri or None

    def pop(self, element: str, strip_whitespace: int = 1) -> Any:
        if element != "id":
            return super().pop(element, strip_whitespace)  # type: ignore[misc]
        # A guid is a name: it stays as it is.
        base, self.baseuri = self.baseuri, ""
        try:
            return super().pop(element, strip_whitespace)  # type: ignore[misc]
        finally:
            self.baseuri = base

    def strattrs(self, attrs: list[tuple[str, str]]) -> str:
        if self.baseuri and self.baseuri != self.contentparams.get("base"):
            attrs = [(key, self._resolved(key.lower(), value)) for key, value in attrs]
        return super().strattrs(attrs)  # type: ignore[misc]

    def _resolved(self, key: str, value: str) -> str:
        if key == "srcset":
            return web_link(best_of_srcset(value), self.baseuri) or value
        is_address = key in _ADDRESSES and not value.startswith("#")
        return web_link(value, self.baseuri) or value if is_address else value

    def _start_link(self, attrs_d: dict[str, str]) -> None:
        # In RSS the address is the text; some put other addresses into attributes.
        if "href" not in attrs_d and self.version.startswith("rss"):
            attrs_d = {key: attrs_d[key] for key in attrs_d if key not in ("uri", "url")}
        super()._start_link(attrs_d)  # type: ignore[misc]

    def _sync_author_detail(self, key: str = "author") -> None:
        context = self._get_context()
        people, text = dict.get(context, f"{key}s"), dict.get(context, key)
        if not isinstance(text, str):
            super()._sync_author_detail(key)  # type: ignore[misc]
            return
        context[key] = text[:MAX_TEXT]  # feedparser's way to find an address takes quadratic time
        if people and not people[-1]:
            people[-1].update(_person(text[:MAX_TEXT]))
            context.setdefault(f"{key}_detail", people[-1])
        else:
            super()._sync_author_detail(key)  # type: ignore[misc]

    def _get_context(self) -> Any:
        return super()._get_context()  # type: ignore[misc]

    # `feeds.reading.dates` reads dates: feedparser would have read each before that, and in vain.

    def _end_published(self) -> None:
        self.pop("published")

    _end_issued = _end_pubdate = _end_published

    def _end_updated(self) -> None:
        self.pop("updated")

    _end_modified = _end_lastbuilddate = _end_updated

    def _end_created(self) -> None:
        self.pop("created")

    def _start_hour(self, attrs_d: dict[str, str]) -> None:
        self.elementstack.append(["hour", 0, []])

    def _end_hour(self) -> None:
        self._keep("skipped_hours", self.pop("hour"))

    def _start_day(self, attrs_d: dict[str, str]) -> None:
        self.elementstack.append(["day", 0, []])

    def _end_day(self) -> None:
        self._keep("skipped_days", self.pop("day"))

    def _keep(self, key: str, value: Any) -> None:
        kept = self.feeddata.setdefault(key, [])
        if isinstance(kept, list) and isinstance(value, str) and len(kept) < 24:
            kept.append(value)


def _person(text: str) -> dict[str, str]:
    """Return the name and the address of `ann@a.example (Ann)` or `Ann <ann@a.example>`."""
    match = _EMAIL.search(text)
    name = " ".join(text.replace(match[0], " ").split()) if match else text
    for brackets in ("()", "<>", "&lt;&gt;", "( )", "< >"):
        name = name.replace(brackets, "")
    name = name.strip()
    if match and name.startswith("(") and name.endswith(")"):
        name = name[1:-1].strip()
    found = {"name": name, "email": match[0] if match else ""}
    return {key: value for key, value in found.items() if value}


class _StrictParser(_Additions, StrictFeedParser):
    def __init__(self, url: str) -> None:
        super().__init__("", None, "utf-8")
        self._prepare(url)


class _Expat(ExpatParser):
    """Hands on text in one piece, not in one for each reference in it."""

    def reset(self) -> None:
        super().reset()
        self._parser.buffer_text = True  # type: ignore[attr-defined]


class _LooseParser(_Additions, LooseFeedParser):
    def __init__(self, url: str, entities: dict[str, str]) -> None:
        super().__init__("", None, "utf-8", entities)
        self._prepare(url)

    def decode_entities(self, element: str, data: str) -> str:
        decoded: str = super().decode_entities(element, data)
        return decoded.replace("&amp;", "&") if element in self.can_be_relative_uri else decoded
