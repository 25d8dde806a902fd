"""PURE: which entry of a document is which stored one, also if its guid has another form now.

Whole feeds change their guids: from http to https, with and without “www.”, to another host, from
links to numbers. Then all their entries would come a second time. The rules, first to last; each
needs that no other entry, listed or stored, could be meant:

1. the same guid (whoever else could be meant), in the narrowest form that is stored;
2. a broader form of it, which it had without neighbours that share it, and the same link; if they
   share the link too, and differ in the text only, also the same title, or else date;
3. the same guid apart from http or https, “www.”, the default port and the case of the host;
4. the same path and query at another host, and the same title and date; if there is no date, the
   whole document must have moved: all its guids to one host, which no stored guid has;
5. the same link, title and date; title or date suffices where one of the two guids is that link, as
   it is for an entry that has none, and the title where an undated one has only its text.

A date that isn't known is the same as no other.
"""

import hashlib
import re
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache

from feeds.reading.identity import with_link

DEFAULT_PORTS = {"http": 80, "https": 443}
_SITE = re.compile(r"(?:https?://[^/?#]*/?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """What tells an entry from the others of its feed.

    `guids` are all that a listed one may have, the narrowest first.
    """

    guid: str
    link: str = ""
    title: str = ""
    published: datetime | None = None
    guids: tuple[str, ...] = ()

    @cached_property
    def parts(self) -> tuple[str, str]:
        """The host of the guid, and the rest of it without its scheme; ("", guid) if not a URL."""
        return _parts(self.guid)

    @cached_property
    def link_parts(self) -> tuple[str, str]:
        """The same of the link."""
        return _parts(self.link)

    @property
    def narrow(self) -> tuple[str, ...]:
        """Its guid, after those that say more."""
        return (
            (*self.guids[: self.guids.index(self.guid)], self.guid) if self.guids else (self.guid,)
        )

    @property
    def broader(self) -> tuple[str, ...]:
        """The guids that it would have without those that share them."""
        return self.guids[len(self.narrow) :]

    @property
    def is_its_text(self) -> bool:
        """Whether only its text tells it from others of its document."""
        return bool(self.broader) and self.guid == self.guids[0]

    @property
    def is_its_link(self) -> bool:
        """Whether the guid is the link: as the identity of an entry without a guid."""
        return bool(self.link) and self.parts == self.link_parts

    @property
    def host(self) -> str:
        return self.parts[0]


Key = Callable[[Identity], Hashable]
Alike = Callable[[Identity, Identity], bool]


def key(identity: Identity) -> int:
    """Return a number of 64 bits (signed) that is the same for all forms of a guid by rule 3."""
    return _number("\n".join(identity.parts))


def moved_key(identity: Identity) -> int | None:
    """Return such a number that stays the same by rule 4, None without a host."""
    if not identity.host:
        return None
    return _number(f"{identity.parts[1]}\n{identity.title}\n{_dated(identity)}")


def takes_over(new: Identity, old: Identity) -> bool:
    """Return whether a stored entry is to get the guid of the listed one that it is."""
    return key(new) != key(old) and old.guid not in new.narrow


def link_key(identity: Identity) -> int | None:
    """Return such a number that stays the same by rule 5, None without a link.

    Without a date, that holds only if one of the two guids is the link: see `is_link_key`.
    """
    return _link_key("link", identity) if identity.link else None


def is_link_key(identity: Identity) -> int | None:
    """Return another one for an undated entry whose guid is its link, None for all others."""
    is_meant = identity.published is None and identity.is_its_link
    return _link_key("is link", identity) if is_meant else None


def link_key_of(listed: Identity) -> int | None:
    """Return the number under which a listed entry would be known by its link, if by any."""
    if not listed.link:
        return None
    needs_link = listed.published is None and not listed.is_its_link
    return _link_key("is link" if needs_link else "link", listed)


def _link_key(kind: str, identity: Identity) -> int:
    return _number("\n".join([kind, *identity.link_parts, identity.title, _dated(identity)]))


def _dated(identity: Identity) -> str:
    return "" if identity.published is None else str(identity.published.timestamp())


def guid_keys(listed: Identity) -> set[int]:
    """Return the keys under which a listed entry may be stored whatever neighbours it had."""
    return {key(Identity(guid)) for guid in listed.narrow}


def neighbour_key(stored: Identity) -> int | None:
    """Return the key that a stored entry has beside others with its guid, None without a link."""
    return key(Identity(with_link(stored.guid, stored.link))) if stored.link else None


def may_match(listed: Iterable[Identity], stored: Iterable[tuple[str, str, str]]) -> bool:
    """Return whether rules 3 to 5 could find a listed entry among stored ones: guid, link, title.

    It takes far less than `match`, which finds nothing by them if this is False.
    """
    listed = list(listed)
    titles = {one.title for one in listed}
    guids = {_after_host(one.guid) for one in listed}
    links = {_after_host(one.link) for one in listed if one.link}
    return any(
        title in titles or _after_host(guid) in guids or (link and _after_host(link) in links)
        for guid, link, title in stored
    )


def match(listed: Sequence[Identity], stored: Sequence[Identity]) -> dict[int, int]:
    """Return which stored entry each listed one is, both by their places in the sequences.

    The guids of the listed ones differ, and so do those of the stored ones.
    """
    found = _with_its_guid(listed, stored)
    if len(found) == len(listed):
        return found
    found |= _without_neighbours(listed, stored, found)
    at_other_host = _moved_with_all if _has_moved(listed, stored) else _moved
    rules: list[tuple[Key, Alike]] = [
        (lambda one: one.parts if one.host else None, lambda new, old: True),
        (lambda one: one.parts[1] if one.host else None, at_other_host),
        (lambda one: (one.link_parts, one.title, one.published), _has_same_link),
        (lambda one: (one.link_parts, one.title), _has_same_link),
        (lambda one: (one.link_parts, one.published), _has_same_link),
    ]
    for rule_key, is_same in rules:
        taken = set(found.values())
        for place, known in _only_pairs(listed, stored, rule_key):
            free = place not in found and known not in taken
            if free and is_same(listed[place], stored[known]):
                found[place] = known
    return found


def _with_its_guid(listed: Sequence[Identity], stored: Sequence[Identity]) -> dict[int, int]:
    by_guid = {identity.guid: place for place, identity in enumerate(stored)}
    places: dict[int, int] = {}
    for place, identity in enumerate(listed):
        known = next((by_guid[guid] for guid in identity.narrow if guid in by_guid), None)
        if known is not None:
            places.setdefault(known, place)
    return {place: known for known, place in places.items()}


def _without_neighbours(
    listed: Sequence[Identity], stored: Sequence[Identity], found: Mapping[int, int]
) -> dict[int, int]:
    free = set(range(len(stored))).difference(found.values())
    by_guid = {stored[known].guid: known for known in free}
    claims = defaultdict(list)
    for place, identity in enumerate(listed):
        for guid in identity.broader if place not in found else ():
            if guid in by_guid:
                claims[by_guid[guid]].append(place)
    more: dict[int, int] = {}
    for known, places in claims.items():
        for is_same in (_is_that_link, _is_that_title, _is_that_date):
            alike = [place for place in places if is_same(listed[place], stored[known])]
            if len(alike) == 1:
                more.setdefault(alike[0], known)
                break
    return more


def _only_pairs(
    listed: Sequence[Identity], stored: Sequence[Identity], rule_key: Key
) -> Iterator[tuple[int, int]]:
    """Yield what has the same key, where one listed entry has it and one stored entry."""
    new, old = _only_ones(listed, rule_key), _only_ones(stored, rule_key)
    for value, place in new.items():
        if value in old:
            yield place, old[value]


def _only_ones(identities: Sequence[Identity], rule_key: Key) -> dict[Hashable, int]:
    keys = [rule_key(identity) for identity in identities]
    counts = Counter(keys)
    return {
        value: place for place, value in enumerate(keys) if value is not None and counts[value] == 1
    }


def _has_moved(listed: Sequence[Identity], stored: Sequence[Identity]) -> bool:
    """Return whether all guids of a document are at one host, which no stored guid has."""
    hosts = {identity.host for identity in listed}
    return len(hosts) == 1 and "" not in hosts and hosts.isdisjoint(one.host for one in stored)


def _moved(new: Identity, old: Identity) -> bool:
    return new.title == old.title and _has_same_date(new, old)


def _moved_with_all(new: Identity, old: Identity) -> bool:
    return new.title == old.title and (new.published is None or _has_same_date(new, old))


def _is_that_link(new: Identity, old: Identity) -> bool:
    return not new.is_its_text and new.link_parts == old.link_parts


def _is_that_title(new: Identity, old: Identity) -> bool:
    return new.link_parts == old.link_parts and new.title == old.title


def _is_that_date(new: Identity, old: Identity) -> bool:
    return new.link_parts == old.link_parts and _has_same_date(new, old)


def _has_same_link(new: Identity, old: Identity) -> bool:
    same_title, same_date = new.title == old.title, _has_same_date(new, old)
    if not new.link:
        return False
    if new.is_its_link or old.is_its_link:
        return same_title or same_date
    return same_title and (same_date or (new.is_its_text and new.published is None))


def _has_same_date(new: Identity, old: Identity) -> bool:
    return new.published is not None and new.published == old.published


def _after_host(text: str) -> str:
    """Return what is the same wherever the second of `_parts` is, and takes less."""
    return text[_SITE.match(text).end() :].replace("?#", "#").rstrip("?#")  # type: ignore[union-attr]


@lru_cache(maxsize=5_000)
def _parts(text: str) -> tuple[str, str]:
    try:
        url = urllib.parse.urlsplit(text)
        host, port = (url.hostname or "").removeprefix("www."), url.port
    except ValueError:
        return "", text
    if url.scheme not in DEFAULT_PORTS or not host:
        return "", text
    shown_port = "" if port in (None, DEFAULT_PORTS[url.scheme]) else f":{port}"
    rest = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, url.fragment))
    return f"{host}{shown_port}", rest


def _number(text: str) -> int:
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], signed=True)
