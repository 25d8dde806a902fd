"""PURE: how a hub shows that a push comes from it."""

import hmac
import re
from dataclasses import dataclass

# The header `X-Hub-Signature`: a method, and what it comes to in hexadecimal digits.
_SIGNATURE = re.compile(r"(sha1|sha256|sha384|sha512)=([0-9a-f]+)", re.IGNORECASE | re.ASCII)
_DIGITS = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a hub says that a body comes to, by which method."""

    method: str
    digest: bytes

    def of(self, secret: str) -> "hmac.HMAC":
        """Begin to compute it, by a secret that we share with the hub."""
        return hmac.new(secret.encode(), digestmod=self.method)

    def is_that_of(self, computed: "hmac.HMAC") -> bool:
        """Return whether that is what we have come to, in the same time whatever it is."""
        return hmac.compare_digest(self.digest, computed.digest())


def read_signature(header: str) -> Signature | None:
    """Return the signature that a header holds; None if it is none that we can check."""
    match = _SIGNATURE.fullmatch(header.strip(" \t"))
    if match is None:
        return None
    method, digits = match[1].lower(), match[2]
    return Signature(method, bytes.fromhex(digits)) if len(digits) == _DIGITS[method] else None
