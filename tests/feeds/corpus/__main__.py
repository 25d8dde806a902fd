"""Read feedparser's corpus; see the package."""

import codecs
import importlib.metadata
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import feedparser
from feedparser.util import FeedParserDict

from feeds.exceptions import NotAFeed
from feeds.reading.charsets import decode
from feeds.reading.dates import read_date
from feeds.reading.documents import find_root, read_document
from feeds.reading.parser import parse
from tests.feeds.corpus.explained import EXPLAINED

_EXPECTED = re.compile(rb"Description:\s*(.*?)\s*Expect:\s*(.*)\s*-->")
_HEADER = re.compile(rb"^Header:\s+([^:]+):(.+)$", re.MULTILINE)
_SANITISED = "wellformed/sanitize/"
_ACTIVE = re.compile(
    r"<(?:script|style|iframe|frame|object|embed|applet|form|meta|link|base)\b"
    r"|<[^<>]*\s(?:on\w+|style|formaction|srcdoc)\s*=|<[^<>]*=\"?\s*(?:javascript|data|vbscript):",
    re.IGNORECASE,
)
_DATES = ("published", "updated", "created", "expired")


class _AnyCharset(str):
    """The reader hands on the text, not the name of its charset: the text is what is compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)


def main(path: str | None) -> int:
    """Print what is kept of the corpus; return 1 if something is unexplained."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(path) if path else _downloaded(Path(folder))
        if source is None:
            print("feedparser's source distribution can't be had: its corpus was not read.")
            return 0
        corpus = _unpacked(source, Path(folder)) if source.is_file() else source
        return _read(corpus)


def _downloaded(folder: Path) -> Path | None:
    version = importlib.metadata.version("feedparser")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", ":all:", "--dest", str(folder), f"feedparser=={version}"]
    done = subprocess.run(command, stderr=subprocess.DEVNULL)
    return next(folder.glob("feedparser-*.tar.gz"), None) if done.returncode == 0 else None


def _unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return next(folder.glob("feedparser-*/tests"))


def _read(corpus: Path) -> int:
    corpus = corpus if (corpus / "wellformed").is_dir() else corpus / "tests"
    outcomes: Counter[str] = Counter()
    unexplained, stale = [], []
    for file in sorted(corpus.rglob("*.xml")):
        name = str(file.relative_to(corpus))
        outcome = _outcome(name, file.read_bytes())
        outcomes[outcome] += 1
        if outcome == "not kept" and name not in EXPLAINED:
            unexplained.append(name)
        if outcome != "not kept" and name in EXPLAINED:
            stale.append(name)
    kept, lost = outcomes["kept"] + outcomes["harmless"], outcomes["not kept"]
    print(f"feedparser keeps {kept + lost} of its expectations, and we keep {kept} of them;")
    print(f"{outcomes['harmless']} are about its sanitiser: ours leaves nothing active of them.")
    print(f"{lost - len(unexplained)} differ for a reason (tests/feeds/corpus/explained.py).")
    for name in unexplained:
        print(f"NOT KEPT {name}")
    for name in stale:
        print(f"EXPLAINED, BUT KEPT {name}")
    return 1 if unexplained or stale else 0


def _outcome(name: str, body: bytes) -> str:
    match = _EXPECTED.search(body) or _EXPECTED.search(_ascii(body))
    if match is None:
        return "no expectation"
    expression = match[2].decode().strip()
    headers = {
        key.decode().strip().lower(): value.decode().strip() for key, value in _HEADER.findall(body)
    }
    if not _holds(expression, _feedparser(body, headers)):
        return "not kept by feedparser"
    if name.startswith(_SANITISED):
        return "harmless" if _is_harmless(body) else "not kept"
    return "kept" if _holds(expression, _ours(body, headers)) else "not kept"


def _ascii(body: bytes) -> bytes:
    """Return a document in another kind of charset so that its expectation can be found."""
    signatures = {b"\x4c\x6f": "cp037", b"\0\0": "utf-32-be", b"<\0\0": "utf-32-le"}
    signatures |= {b"\xff\xfe\0\0": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    signatures |= {b"\0<": "utf-16-be", b"<\0": "utf-16-le"}
    for signature, charset in signatures.items():
        if body.startswith(signature):
            return codecs.decode(body, charset, "replace").encode()
    return body


def _feedparser(body: bytes, headers: dict[str, str]) -> Any:
    return feedparser.parse(io.BytesIO(body), response_headers=headers)


def _ours(body: bytes, headers: dict[str, str]) -> Any:
    text, wrong_charset = decode(body, headers.get("content-type", ""))
    text = text.lstrip("\ufeff \t\r\n")
    root = find_root(text)
    address = headers.get("content-location", "")
    document = read_document(text, root, address) if root and not root.is_page else None
    if document is None:
        return {}
    for data in [document.feed, *document.entries]:
        for key in _DATES:
            if isinstance(dict.get(data, key), str):
                found = read_date(data[key])
                data[f"{key}_parsed"] = found and found.utctimetuple()
    return FeedParserDict(
        feed=document.feed,
        entries=document.entries,
        version=document.version,
        bozo=bool(document.defects),
        encoding=_AnyCharset(wrong_charset),
        headers=headers,
    )


def _holds(expression: str, values: Any) -> bool:
    # As feedparser's own tests do; some are made to raise.
    try:
        return bool(eval(expression, {"feedparser": feedparser}, values))
    except Exception:
        return False


def _is_harmless(body: bytes) -> bool:
    try:
        feed = parse(body, "", "https://feeds.example/")
    except NotAFeed:
        return True
    return not any(_ACTIVE.search(entry.summary + entry.content) for entry in feed.entries)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
