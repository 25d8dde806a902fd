"""PURE: the body of an answer without its compression, bounded while that is undone."""

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping

import brotli

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

# What is compressed more often than this, or consists of more parts, is an attack.
MAX_LAYERS = 3
MAX_MEMBERS = 100
_STEP = 2**16
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BEGINNINGS = {"gzip": _GZIP, "x-gzip": _GZIP, "zstd": _ZSTD}
# Of the memory that zstd may ask for: 8 MiB, the most that RFC 9659 lets a server expect.
_ZSTD_LIMIT: Mapping[int, int] = {DecompressionParameter.window_log_max: 23}
# How a document begins that isn't compressed, after white space and byte order marks.
_TEXT = (b"<", b"{", b"[")
_BLANK = b" \t\r\n\xef\xbb\xbf"


class _Undecoded(Exception):
    """A body isn't decoded as a whole; `beginning` is what there is of it."""

    def __init__(self, beginning: bytes = b"") -> None:
        super().__init__()
        self.beginning = beginning


class TooLong(_Undecoded):
    """A body is longer than the limit."""


class Broken(_Undecoded):
    """A body can't be decompressed."""


def decoded(body: bytes, encodings: str, limit: int) -> bytes:
    """Return a body as it was before its compression, `encodings` of the header Content-Encoding.

    A body that is compressed by gzip without saying so is decompressed, and one that says so but
    isn't is left as it is. Raises TooLong if it has more than `limit` bytes, or Broken.
    """
    names = [name.strip().lower() for name in encodings.split(",") if name.strip()]
    if len(names) > MAX_LAYERS:
        raise Broken
    for name in reversed(names):
        if name in _DECODERS and _seems(name, body):
            body = _joined(_DECODERS[name](body), limit)
    if body.startswith(_GZIP):
        body = _joined(_gzip(body), limit)
    if len(body) > limit:
        raise TooLong(body)
    return body


def is_compressed(body: bytes | bytearray, encodings: str) -> bool:
    """Return whether `decoded` may make a body that begins so longer."""
    return bool(encodings.strip()) or body.startswith(_GZIP)


def _seems(encoding: str, body: bytes) -> bool:
    """Return whether a body can be compressed as its header says."""
    is_text = not body or body.lstrip(_BLANK).startswith(_TEXT)
    return not is_text and body.startswith(_BEGINNINGS.get(encoding, b""))


def _joined(parts: Iterator[bytes], limit: int) -> bytes:
    whole = bytearray()
    try:
        for part in parts:
            whole += part
            if len(whole) > limit:
                raise TooLong(bytes(whole))
    except (zlib.error, brotli.error, ZstdError, EOFError, Broken) as error:
        raise Broken(bytes(whole)) from error
    return bytes(whole)


def _gzip(body: bytes) -> Iterator[bytes]:
    """Undo gzip; what follows its last part is no matter, as in browsers."""
    for _ in range(MAX_MEMBERS):
        if not body.startswith(_GZIP):
            return
        decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
        yield from _inflated(decompressor, body)
        body = decompressor.unused_data
    raise Broken


def _deflate(body: bytes) -> Iterator[bytes]:
    """Undo deflate: within zlib's format as the standard says, or bare as some servers have it."""
    has_header = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] * 256 + body[1]) % 31 == 0
    bits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
    return _inflated(zlib.decompressobj(bits), body)


def _inflated(decompressor: "zlib._Decompress", body: bytes) -> Iterator[bytes]:
    while not decompressor.eof:
        part = decompressor.decompress(body, _STEP)
        yield part
        body = decompressor.unconsumed_tail
        if not part and not body and not decompressor.eof:
            raise Broken  # It is cut off.


def _brotli(body: bytes) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    part = decompressor.process(body, output_buffer_limit=_STEP)
    while part or not decompressor.is_finished():
        if not part and decompressor.can_accept_more_data():
            raise Broken  # It is cut off.
        yield part
        part = decompressor.process(b"", output_buffer_limit=_STEP)


def _zstd(body: bytes) -> Iterator[bytes]:
    for _ in range(MAX_MEMBERS):
        if not body.startswith(_ZSTD):
            return
        decompressor = ZstdDecompressor(options=_ZSTD_LIMIT)
        yield decompressor.decompress(body, _STEP)
        while not decompressor.eof:
            if decompressor.needs_input:
                raise Broken  # It is cut off.
            yield decompressor.decompress(b"", _STEP)
        body = decompressor.unused_data
    raise Broken


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
