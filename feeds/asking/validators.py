"""PURE: by what a server recognises the document that we have: ETag and Last-Modified."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Validators:
    """What the server at `url` gave us, exactly as it did.

    They belong to the address that answered, after all redirects: any other could take its own
    document for the one that we have.
    """

    url: str = ""
    etag: str = ""
    last_modified: str = ""

    def conditions(self, url: str) -> dict[str, str]:
        """Return the headers by which a request to an address asks for what is new only."""
        if url != self.url:
            return {}
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}


def after_document(url: str, headers: Mapping[str, str]) -> Validators:
    """Return what a document came with: both as they are now, also if one has gone."""
    return Validators(url, _value(headers, "ETag"), _value(headers, "Last-Modified"))


def after_not_modified(known: Validators, headers: Mapping[str, str]) -> Validators:
    """Return the known ones, with those that the answer 304 carries in their place."""
    return Validators(
        known.url,
        _value(headers, "ETag") or known.etag,
        _value(headers, "Last-Modified") or known.last_modified,
    )


def _value(headers: Mapping[str, str], name: str) -> str:
    """Return a header if it can be stored and sent back unchanged, else "".

    Bytes that aren't UTF-8 arrive as lone surrogates.
    """
    value = headers.get(name, "")
    return value if value.isprintable() else ""
