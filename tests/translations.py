"""Refreshes the catalogues of translated texts: `python -m tests.translations`.

Each app has its own, `locale/ko/LC_MESSAGES/django.po`. What is new in the sources is added without
a translation, what has left them is removed, and `django.mo` is compiled, which is committed. It
ends with what is still to be translated. Nobody needs the gettext tools for any of it.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

BASE_DIR = Path(__file__).resolve().parent.parent
APPS = ("tasks", "feeds", "project")
LANGUAGE = "ko"
WITH_CONTEXT = ((1, "c"), 2)
# The functions whose arguments are texts: which of them, None for the first.
KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "marked": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": WITH_CONTEXT,
    "pgettext_lazy": WITH_CONTEXT,
    "npgettext": (*WITH_CONTEXT, 3),
    "npgettext_lazy": (*WITH_CONTEXT, 3),
}
# Errors of code that doesn't know Django: their second argument is the text.
KEYWORDS |= dict.fromkeys(
    "SpecError BadUrl UnknownFeed HostNotFound Unreachable BrokenOff RefusedAddress RefusedPort "
    "ConnectionFailed FetchTimeout BadResponse BadRedirect TooLarge NotAFeed TooCostly".split(),
    (2,),
)
HEADER = "# Korean texts of {app}. The words are those of docs/glossary.md, “In Korean”."


def sources(app: str) -> Iterator[Path]:
    """Yield the modules and templates of an app, in order."""
    folder = BASE_DIR / app
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.html")]):
        if "migrations" not in path.relative_to(folder).parts:
            yield path


def texts_of(app: str) -> Catalog:
    """Return all texts of an app's sources that are marked for translation."""
    found = Catalog()
    for path in sources(app):
        name = path.relative_to(BASE_DIR).as_posix()
        code = path.read_text()
        if path.suffix == ".html":
            # Python that says the same; its indentation means nothing.
            lines = templatize(code, origin=name).splitlines()
            code = "\n".join(line.lstrip() for line in lines)
        stream = io.BytesIO(code.encode())
        for _line, text, comments, context in extract("python", stream, KEYWORDS, ["Translators:"]):
            found.add(text, locations=[(name, 0)], auto_comments=comments, context=context)
    return found


def path_of(app: str, ending: str) -> Path:
    """Return the path of an app's catalogue, as `po` or compiled as `mo`."""
    return BASE_DIR / app / "locale" / LANGUAGE / "LC_MESSAGES" / f"django.{ending}"


def stored(app: str) -> Catalog:
    """Return an app's catalogue as it is committed; an empty one before the first time."""
    path = path_of(app, "po")
    if not path.exists():
        header = HEADER.format(app=app)
        return Catalog(LANGUAGE, header_comment=header, fuzzy=False, project=app)
    with path.open("rb") as file:
        return read_po(file, LANGUAGE)


def compiled(catalogue: Catalog) -> bytes:
    """Return what `django.mo` holds."""
    output = io.BytesIO()
    write_mo(output, catalogue)
    return output.getvalue()


def untranslated(catalogue: Catalog) -> list[Message]:
    """Return the texts of a catalogue that have no translation, or a doubtful one."""
    return [
        message
        for message in catalogue
        if message.id and (message.fuzzy or not all(translations(message)))
    ]


def translations(message: Message) -> tuple[str, ...]:
    """Return the translations of a text: Korean has one form for any number."""
    found = message.string
    return tuple(str(text or "") for text in (found if isinstance(found, tuple) else (found,)))


def refresh(app: str) -> Catalog:
    """Bring an app's catalogue up to date with its sources, and write it."""
    catalogue, found = stored(app), texts_of(app)
    # The date would change each time, with nothing else.
    found.creation_date = catalogue.creation_date
    catalogue.update(found, no_fuzzy_matching=True, update_creation_date=False)
    path = path_of(app, "po")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(
            file,
            catalogue,
            width=100,
            sort_by_file=True,
            ignore_obsolete=True,
            include_lineno=False,
        )
    path_of(app, "mo").write_bytes(compiled(catalogue))
    return catalogue


def main() -> int:
    """Refresh all catalogues; return how many texts are still to be translated, at most 1."""
    missing = [(app, message) for app in APPS for message in untranslated(refresh(app))]
    for app, message in missing:
        print(f"{app}: {message.id!r}")
    print(f"{len(missing)} texts are still to be translated.")
    return min(len(missing), 1)


if __name__ == "__main__":
    sys.exit(main())
