import gzip
import sys
import zlib

import brotli
import pytest

from feeds.asking.decoding import MAX_MEMBERS, Broken, TooLong, decoded

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DOCUMENT = b"<?xml version='1.0'?><rss>" + b"news " * 10_000 + b"</rss>"
LIMIT = 2**20


def bare_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


COMPRESSED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_compressed_body_is_decoded(encoding):
    assert decoded(COMPRESSED[encoding](DOCUMENT), encoding, LIMIT) == DOCUMENT


def test_deflate_without_its_header_is_decoded():
    assert decoded(bare_deflate(DOCUMENT), "deflate", LIMIT) == DOCUMENT


def test_a_body_compressed_several_times_is_decoded_from_the_last_on():
    body = brotli.compress(gzip.compress(DOCUMENT))
    assert decoded(body, "gzip, br", LIMIT) == DOCUMENT


def test_a_body_in_several_parts_is_decoded():
    assert decoded(gzip.compress(b"<a>") + gzip.compress(b"</a>"), "gzip", LIMIT) == b"<a></a>"
    assert decoded(zstd.compress(b"<a>") + zstd.compress(b"</a>"), "zstd", LIMIT) == b"<a></a>"


@pytest.mark.parametrize("encoding", ["", "identity", "utf-8"])
def test_a_body_that_is_gzip_without_saying_so_is_decoded(encoding):
    assert decoded(gzip.compress(DOCUMENT), encoding, LIMIT) == DOCUMENT
    assert decoded(gzip.compress(gzip.compress(DOCUMENT)), "gzip", LIMIT) == DOCUMENT


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("body", [DOCUMENT, b"\xef\xbb\xbf\n" + DOCUMENT, b'{"a": 1}', b""])
def test_a_body_that_says_it_is_compressed_but_is_not_is_left_as_it_is(encoding, body):
    assert decoded(body, encoding, LIMIT) == body


def test_what_follows_a_compressed_body_is_no_matter():
    assert decoded(gzip.compress(DOCUMENT) + b"\0" * 100, "gzip", LIMIT) == DOCUMENT


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_body_that_is_cut_off_is_broken(encoding):
    with pytest.raises(Broken):
        decoded(COMPRESSED[encoding](DOCUMENT)[:-10], encoding, LIMIT)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_bomb_is_too_long(encoding):
    with pytest.raises(TooLong):
        decoded(COMPRESSED[encoding](b"\0" * (50 * LIMIT)), encoding, LIMIT)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_body_as_long_as_the_limit_is_decoded(encoding):
    body = COMPRESSED[encoding](DOCUMENT)
    assert decoded(body, encoding, len(DOCUMENT)) == DOCUMENT
    with pytest.raises(TooLong):
        decoded(body, encoding, len(DOCUMENT) - 1)


@pytest.mark.parametrize(("compress", "name"), [(gzip.compress, "gzip"), (zstd.compress, "zstd")])
def test_a_body_of_very_many_parts_is_broken(compress, name):
    with pytest.raises(Broken):
        decoded(compress(b"") * (MAX_MEMBERS + 1), name, LIMIT)


def test_a_body_that_says_it_is_compressed_very_often_is_broken():
    with pytest.raises(Broken):
        decoded(DOCUMENT, "gzip, gzip, gzip, gzip", LIMIT)


@pytest.mark.parametrize("encoding", ["deflate", "br"])
def test_a_body_that_is_something_else_is_broken(encoding):
    with pytest.raises(Broken):
        decoded(b"\xff\xfe\xfd\xfc\xfb" * 20, encoding, LIMIT)


def test_a_zstd_body_that_asks_for_much_memory_is_broken():
    options = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    body = compressor.compress(b"x" * 10) + compressor.flush()
    with pytest.raises(Broken):
        decoded(body, "zstd", LIMIT)
