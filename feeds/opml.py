"""PURE: lists of feeds as OPML, in which feed readers move them from one to another."""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import Locator

import defusedxml.sax
from defusedxml import DefusedXmlException

from feeds.exceptions import BadOpml
from feeds.reading.result import MAX_TEXT
from tasks.exceptions import marked

MAX_BYTES = 10 * 2**20
MAX_FEEDS = 20_000
MAX_DEPTH = 100
# As long as the name of a tag may be.
MAX_TAG = 50

_NOT_IN_TAG = re.compile(r"[^-\w]+")
# An address is often pasted in as it is: the "&" of its query is none of XML's references.
_BARE_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Outline:
    """A feed of a list: its address as it is there, its title, its tags, and its line there."""

    url: str
    title: str = ""
    tags: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)


def read(document: bytes) -> list[Outline]:
    """Return the feeds of a document, in its order; raises BadOpml.

    Each folder that a feed is in is a tag of it, also the outer ones; what a tag can't have in its
    name is a hyphen there. Entities, document types and external references are refused.
    """
    if len(document) > MAX_BYTES:
        raise BadOpml("this document is larger than %(limit)d MiB.", limit=MAX_BYTES // 2**20)
    try:
        return _read(document)
    except SAXParseException:
        mended = _BARE_AMPERSAND.sub(b"&amp;", document)
        return _read_mended(mended)


def _read_mended(document: bytes) -> list[Outline]:
    try:
        return _read(document)
    except SAXParseException as error:
        text = marked("this is not proper XML: line %(line)d: %(why)s.")
        raise BadOpml(text, line=error.getLineNumber() or 0, why=error.getMessage()) from error


def _read(document: bytes) -> list[Outline]:
    handler = _Handler()
    try:
        defusedxml.sax.parse(
            io.BytesIO(document),
            handler,
            forbid_dtd=True,
            forbid_entities=True,
            forbid_external=True,
        )
    except DefusedXmlException as error:
        raise BadOpml(
            "this document declares a document type or entities (<!DOCTYPE …>), which no list of "
            "feeds needs. Take that out."
        ) from error
    except SAXParseException:
        raise
    except (SAXException, ValueError, LookupError) as error:  # as of an unknown encoding
        raise BadOpml("this document can't be read: %(why)s.", why=str(error)) from error
    return handler.found


class _Handler(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Outline] = []
        # The tag of each open element, "" if it is none.
        self._open: list[str] = []
        self._locator: Locator | None = None

    def setDocumentLocator(self, locator: Locator) -> None:  # noqa: N802
        self._locator = locator

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802
        name = name.lower()
        if not self._open and name != "opml":
            raise BadOpml("this is not OPML: it begins with <%(name).50s>.", name=name)
        if len(self._open) >= MAX_DEPTH:
            raise BadOpml("its folders are nested more than %(limit)d deep.", limit=MAX_DEPTH)
        self._open.append(self._outline(attrs) if name == "outline" else "")

    def endElement(self, name: str) -> None:  # noqa: N802
        self._open.pop()

    def _outline(self, attrs: Any) -> str:
        """Note a feed; of a folder, return the tag that it is."""
        values = {name.lower(): value.strip() for name, value in attrs.items()}
        title = _one_line(values.get("title") or values.get("text") or "")
        url = values.get("xmlurl", "")
        if "xmlurl" not in values and values.get("type", "").lower() in ("rss", "atom"):
            url = values.get("url", "")
        elif "xmlurl" not in values:
            return tag_of(title)
        if len(self.found) >= MAX_FEEDS:
            raise BadOpml("it has more than %(limit)d feeds: divide it.", limit=MAX_FEEDS)
        line = (self._locator.getLineNumber() or 0) if self._locator else 0
        tags = tuple(dict.fromkeys(filter(None, self._open)))
        self.found.append(Outline(url, "" if title == url else title[:MAX_TEXT], tags, line))
        return ""


def _one_line(text: str) -> str:
    return " ".join(_NOT_XML.sub("", text).split())


def tag_of(folder: str) -> str:
    """Return the name of the tag that a folder is; "" if nothing of its name can be in one."""
    return _NOT_IN_TAG.sub("-", folder).strip("-")[:MAX_TAG].strip("-")


def write(outlines: Iterable[Outline]) -> bytes:
    """Return a document in which each tag is a folder; a feed is in each of its tags' folders.

    The same feeds always give the same document.
    """
    root = ElementTree.Element("opml", version="2.0")
    head = ElementTree.SubElement(root, "head")
    ElementTree.SubElement(head, "title").text = "Feeds"
    body = ElementTree.SubElement(root, "body")
    shown = [replace(one, title=_one_line(one.title) or one.url) for one in outlines]
    feeds = sorted(shown, key=lambda one: (one.title, one.url))
    for tag in sorted({tag for one in feeds for tag in one.tags}):
        folder = ElementTree.SubElement(body, "outline", text=tag, title=tag)
        for one in feeds:
            if tag in one.tags:
                _write(folder, one)
    for one in feeds:
        if not one.tags:
            _write(body, one)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def _write(parent: ElementTree.Element, one: Outline) -> None:
    values = {"type": "rss", "text": one.title, "title": one.title, "xmlUrl": one.url}
    ElementTree.SubElement(parent, "outline", values)
