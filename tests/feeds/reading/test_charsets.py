import codecs

import pytest

from feeds.reading.charsets import decode
from feeds.reading.parser import parse
from tests.feeds.documents import URL

CYRILLIC, JAPANESE, KOREAN, CHINESE = (
    "Привет, мир",
    "こんにちは世界",
    "안녕하세요 세계",
    "你好，世界",
)


def rss(title: str, charset: str = "", language: str = "") -> str:
    declared = f' encoding="{charset}"' if charset else ""
    return (
        f'<?xml version="1.0"{declared}?><rss version="2.0"><channel><language>{language}'
        f"</language><item><title>{title}</title></item></channel></rss>"
    )


def title_of(body: bytes, content_type: str = "") -> str:
    (entry,) = parse(body, content_type, URL).entries
    return entry.title


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (CYRILLIC, "windows-1251"),
        (CYRILLIC, "koi8-r"),
        (CYRILLIC, "iso-8859-5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "iso-2022-jp"),
        (KOREAN, "euc-kr"),
        (CHINESE, "gb2312"),
        (CHINESE, "gbk"),
        (CHINESE, "big5"),
        ("Größe", "iso-8859-1"),
        ("Größe – “x”", "windows-1252"),
        ("Żółć", "iso-8859-2"),
        ("Größe", "utf-16"),
        ("Größe", "utf-32"),
        ("Größe", "cp037"),
        ("Größe", "cp500"),
    ],
)
def test_a_feed_is_read_in_the_charset_that_it_declares(text, charset):
    assert title_of(rss(text, charset).encode(charset)) == text


@pytest.mark.parametrize("junk", ["\n", " \r\n\t", "<br />\nWarning: x in y.php on line 3\n"])
@pytest.mark.parametrize("charset", ["windows-1251", "koi8-r"])
def test_a_declaration_counts_whatever_stands_in_front_of_it(junk, charset):
    assert title_of((junk + rss(CYRILLIC, charset)).encode(charset)) == CYRILLIC


@pytest.mark.parametrize(
    "declared", ["windows-1251", "iso-8859-1", "us-ascii", "utf-16", "nonsense"]
)
@pytest.mark.parametrize("header", ["", "text/xml; charset=windows-1252", "text/xml"])
def test_what_decodes_as_utf_8_is_utf_8_whatever_is_declared(declared, header):
    assert title_of(rss(JAPANESE, declared).encode(), header) == JAPANESE


def test_a_feed_says_that_its_charset_is_another_one_than_it_declares():
    feed = parse(rss(CYRILLIC, "windows-1251").encode(), "", URL)
    assert feed.defect == "it says it is in cp1251, and is in utf-8"


def test_a_mark_of_utf_8_goes_before_the_declaration():
    body = codecs.BOM_UTF8 + rss(CYRILLIC, "iso-8859-1").encode()
    assert title_of(body) == CYRILLIC


def test_the_charset_of_the_header_counts_if_none_is_declared():
    body = rss(CYRILLIC).encode("koi8-r")
    assert title_of(body, 'text/xml; charset="KOI8-R"') == CYRILLIC


def test_a_particular_charset_goes_before_one_that_programs_declare_by_default():
    body = rss(CYRILLIC, "utf-8").encode("windows-1251")
    assert title_of(body, "text/xml; charset=windows-1251") == CYRILLIC
    body = rss(CYRILLIC, "windows-1251").encode("windows-1251")
    assert title_of(body, "text/xml; charset=iso-8859-1") == CYRILLIC


@pytest.mark.parametrize(
    ("text", "charset", "language"),
    [
        (CYRILLIC, "windows-1251", "ru"),
        (JAPANESE, "shift_jis", "ja"),
        (JAPANESE, "euc-jp", "ja"),
        (KOREAN, "euc-kr", "ko"),
        (CHINESE, "gbk", "zh-cn"),
    ],
)
def test_the_language_tells_the_charset_of_a_feed_that_is_wrongly_said_to_be_utf_8(
    text, charset, language
):
    assert title_of(rss(text, "utf-8", language).encode(charset)) == text


def test_stray_bytes_spoil_only_themselves_even_under_another_declaration():
    body = rss(f"{CYRILLIC} %", "windows-1251").encode().replace(b"%", b"\x92")
    assert title_of(body) == f"{CYRILLIC} ’"


@pytest.mark.parametrize(
    "codec", ["idna", "punycode", "unicode_escape", "rot13", "zlib", "undefined"]
)
def test_no_codec_of_python_that_is_no_charset_is_used(codec):
    assert decode(f'<?xml version="1.0" encoding="{codec}"?>é\\x41'.encode("latin1"), "")[
        0
    ].endswith("é\\x41")
