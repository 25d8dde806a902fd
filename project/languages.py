"""The languages that this site offers."""

# Those that all texts are translated to.
TRANSLATED = ("en", "ko")
# What Django's texts are written in: always there, and the same as "en".
SOURCE = "en-us"


def offered(own: str) -> list[tuple[str, str]]:
    """Return the languages people can choose, as Django's LANGUAGES: the site's own is one."""
    family = own.lower().partition("-")[0]
    codes = [own if code == family and own.lower() != SOURCE else code for code in TRANSLATED]
    if family not in TRANSLATED:
        codes.append(own)
    return [(code, code) for code in codes]
