"""In which character set a document is written: the bytes decide before what anybody declares.

What decodes as UTF-8 is UTF-8: text in any other set practically never does so by accident. Else
what the document or its header declares is taken, if the bytes can be that; a declaration that
says something particular goes before what programs put there by default. Some stray bytes in UTF-8
don't spoil the rest.
"""

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The first characters of a document, such as “<?” or “<r”, in sets of two and four bytes, and in
# EBCDIC.
_SIGNATURES = (
    (re.compile(rb"<\0\0\0[^\0]\0\0\0"), "utf-32-le"),
    (re.compile(rb"\0\0\0<\0\0\0[^\0]"), "utf-32-be"),
    (re.compile(rb"<\0[^\0]\0"), "utf-16-le"),
    (re.compile(rb"\0<\0[^\0]"), "utf-16-be"),
    (re.compile(rb"\x4c\x6f\xa7\x94"), "cp037"),
)
_DECLARATION = re.compile(rb"""<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']\s*([\w.:-]{1,40})""", re.I)
_META = re.compile(rb"""<meta\b[^>]{0,200}?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.I)
_HEADER = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.I)
_LANGUAGE = re.compile(
    rb"""<(?:\w+:)?language>\s*([a-z]{2})\b|\b(?:xml:)?lang\s*=\s*["']([a-z]{2})\b""", re.I
)
_HEAD_BYTES = 4_096

# What browsers read as another set that contains it.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Sets in which every text is ASCII.
_SEVEN_BITS = frozenset("hz iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_kr utf-7".split())
# Codecs of Python's that no document is written in.
_NO_CHARSETS = frozenset("idna punycode unicode_escape raw_unicode_escape undefined".split())
# Declared without having looked, so that any other declaration is more likely.
_BY_DEFAULT = frozenset({"utf-8", "cp1252", "utf-16", "utf-32"})
# What languages are written in besides UTF-8, the likelier first.
_OF_LANGUAGE = {
    **dict.fromkeys("ru uk bg be sr mk".split(), ("cp1251",)),
    "ja": ("euc_jp", "cp932"),
    "zh": ("gb18030", "big5hkscs"),
    "ko": ("cp949",),
    **dict.fromkeys("pl cs sk hu sl hr ro".split(), ("cp1250",)),
    "el": ("cp1253",),
    "tr": ("cp1254",),
    "he": ("cp1255",),
    "ar": ("cp1256",),
    "th": ("cp874",),
}


def decode(body: bytes, content_type: str) -> tuple[str, str]:
    """Return a document's text, and what is wrong with its character set, or ""."""
    declared = _declared(body)
    known = _by_signature(body)
    if known:
        return known[0], ""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_other(body, declared, _codec(_first(_HEADER, content_type)))
    if declared in _SEVEN_BITS:
        return body.decode(declared, "replace"), ""
    is_mislabelled = not body.isascii() and declared not in ("", "utf-8")
    return text, f"it says it is in {declared}, and is in utf-8" if is_mislabelled else ""


def _by_signature(body: bytes) -> tuple[str, str] | None:
    for mark, name in _BOMS:
        if body.startswith(mark):
            # A mark of UTF-8 in front of something else is a mistake.
            if name == "utf-8":
                return None
            return body[len(mark) :].decode(name, "replace"), name
    for signature, name in _SIGNATURES:
        if signature.match(body):
            # All sets of EBCDIC have the letters of the declaration in common.
            head = body[:_HEAD_BYTES].decode(name, "replace").encode()
            found = _declared(head) if name == "cp037" else name
            return body.decode(found or name, "replace"), found or name
    return None


def _declared(body: bytes) -> str:
    head = body[:_HEAD_BYTES]
    match = _DECLARATION.search(head) or _META.search(head)
    return _codec(match[1].decode("ascii", "replace")) if match else ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _codec(label: str) -> str:
    """Return the name of the codec for a label of a character set, or "" if there is none."""
    try:
        name = codecs.lookup(label.strip()).name
        b"x".decode(name, "ignore")  # raises if it is no character set
    except (LookupError, ValueError, AssertionError):
        return ""
    return "" if name.replace("-", "_") in _NO_CHARSETS else _WIDER.get(name, name)


def _decode_other(body: bytes, declared: str, header: str) -> tuple[str, str]:
    """Decode what isn't UTF-8, or isn't everywhere."""
    good, stray = _utf_8_characters(body)
    candidates = [name for name in (declared, header) if name and name not in _BY_DEFAULT]
    if good <= stray:
        languages = _LANGUAGE.search(body[:_HEAD_BYTES])
        language = (languages[1] or languages[2]).decode().lower() if languages else ""
        for name in candidates + list(_OF_LANGUAGE.get(language, ())):
            try:
                text = body.decode(name)
            except UnicodeDecodeError:
                continue
            wrong = "" if name in candidates else f"it doesn't say that it is in {name}"
            return text, wrong
        if candidates and "cp1252" not in (declared, header):
            return body.decode(candidates[0], "replace"), f"it is broken {candidates[0]}"
    is_all_western = "cp1252" in (declared, header) and not good
    text = body.decode("utf-8", "feeds.western")
    return text, "" if is_all_western else "some bytes of it are not utf-8"


_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


def _utf_8_characters(body: bytes) -> tuple[int, int]:
    """Return how many characters beyond ASCII are valid UTF-8, and how many bytes are left."""
    rest, count = _MULTIBYTE.subn(b"", body)
    return count, len(rest) - len(rest.translate(None, bytes(range(128, 256))))


def _western(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that aren't UTF-8 as Windows-1252."""
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    return wrong.decode("cp1252", "replace"), error.end


codecs.register_error("feeds.western", _western)
