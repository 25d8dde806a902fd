"""PURE: how far the name and the password in an address go when it redirects."""

from yarl import URL


def keep_credentials(here: URL, target: URL) -> URL:
    """Return where a redirect leads, with the name and the password of `here` if they belong there.

    They do at the same scheme, host and port, and at the https of the same host, unless the target
    has its own.
    """
    has_own = target.user is not None or target.password is not None
    if has_own or not _is_same_site(here, target):
        return target
    return target.with_user(here.user).with_password(here.password)


def _is_same_site(here: URL, target: URL) -> bool:
    """Return whether it is the same one, or its https; another port may be somebody else's."""
    if here.host != target.host:
        return False
    before, after = (here.scheme, here.port), (target.scheme, target.port)
    return before == after or (before, after) == (("http", 80), ("https", 443))
