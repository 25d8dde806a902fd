"""Full-text search over entries: PostgreSQL's own, or SQLite's FTS5.

The index follows each write to the table, whoever writes: on PostgreSQL it is a generated column,
on SQLite triggers keep it.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from feeds.models import Entry
from feeds.reading.words import Term, terms

# PostgreSQL's configurations for the languages that it knows, by their codes.
CONFIGURATIONS = {
    **{"ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek"},
    **{"en": "english", "es": "spanish", "eu": "basque", "fi": "finnish", "fr": "french"},
    **{"ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian"},
    **{"it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch"},
    **{"nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian"},
    **{"ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish"},
    "yi": "yiddish",
}
# Of all other languages, words are found as they are written.
SIMPLE = "simple"
COLUMN = "search"

TABLE, INDEX = "feeds_entry", "feeds_entry_search"
SEARCHED = ("title", "author", "words")
WRITES = ("insert", "delete", "update")


def search(text: str) -> QuerySet[Entry]:
    """Return the entries with all words of a text, or words that begin so.

    What stands in double quotes is found as it stands. Title, author, text and categories are
    searched; on PostgreSQL also for other forms of a word, where the language of an entry is known.
    A text without a word finds nothing. Raises nothing whatever the text is.
    """
    entries = Entry.objects.all()
    wanted = terms(text)
    if not wanted:
        return entries.none()
    is_postgres = connections[entries.db].vendor == "postgresql"
    sql, values = _in_postgres(wanted) if is_postgres else _in_sqlite(wanted)
    return entries.filter(pk__in=RawSQL(sql, values))


def _in_postgres(wanted: list[Term]) -> tuple[str, list[Any]]:
    query = " & ".join(_postgres_term(term) for term in wanted)
    names = sorted({SIMPLE, *CONFIGURATIONS.values()})
    queries = " || ".join(f"to_tsquery('pg_catalog.{name}', %s)" for name in names)
    return f"SELECT id FROM {TABLE} WHERE {COLUMN} @@ ({queries})", [query] * len(names)


def _postgres_term(term: Term) -> str:
    quoted = term.text.replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'" if term.is_whole else f"'{quoted}':*"


def _in_sqlite(wanted: list[Term]) -> tuple[str, list[Any]]:
    query = " AND ".join(_sqlite_term(term) for term in wanted)
    return f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH %s", [query]


def _sqlite_term(term: Term) -> str:
    quoted = term.text.replace('"', '""')
    return f'"{quoted}"' if term.is_whole else f'"{quoted}"*'


def install(connection: BaseDatabaseWrapper) -> None:
    """Give the table of entries its index."""
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        for statement in _postgres_statements() if is_postgres else _sqlite_statements():
            cursor.execute(statement)


def keep(connection: BaseDatabaseWrapper) -> None:
    """Install the index again if a migration has taken it away.

    On SQLite, Django changes a table by making it anew, without its triggers.
    """
    if connection.vendor == "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master")
        names = {name for (name,) in cursor.fetchall()}
    is_there = {INDEX, TABLE} <= names
    if is_there and not {f"{INDEX}_{name}" for name in WRITES} <= names:
        install(connection)


def uninstall(connection: BaseDatabaseWrapper) -> None:
    """Take the index away again."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE {TABLE} DROP COLUMN IF EXISTS {COLUMN}")
            return
        for name in WRITES:
            cursor.execute(f"DROP TRIGGER IF EXISTS {INDEX}_{name}")
        cursor.execute(f"DROP TABLE IF EXISTS {INDEX}")


def _postgres_statements() -> list[str]:
    code = "split_part(replace(lower(language), '_', '-'), '-', 1)"
    text = " || ' ' || ".join(SEARCHED)
    cases = " ".join(
        f"WHEN '{language}' THEN to_tsvector('pg_catalog.{name}', {text})"
        for language, name in sorted(CONFIGURATIONS.items())
    )
    vector = f"CASE {code} {cases} ELSE to_tsvector('pg_catalog.{SIMPLE}', {text}) END"
    return [
        f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS {COLUMN} tsvector "
        f"GENERATED ALWAYS AS ({vector}) STORED",
        f"CREATE INDEX IF NOT EXISTS entry_search ON {TABLE} USING gin ({COLUMN})",
    ]


def _sqlite_statements() -> list[str]:
    columns = ", ".join(SEARCHED)
    new, old = (", ".join(f"{row}.{name}" for name in SEARCHED) for row in ("new", "old"))
    add = f"INSERT INTO {INDEX} (rowid, {columns}) VALUES (new.id, {new});"
    remove = f"INSERT INTO {INDEX} ({INDEX}, rowid, {columns}) VALUES ('delete', old.id, {old});"
    triggers = {
        "insert": f"AFTER INSERT ON {TABLE} BEGIN {add} END",
        "delete": f"AFTER DELETE ON {TABLE} BEGIN {remove} END",
        "update": f"AFTER UPDATE OF {columns} ON {TABLE} BEGIN {remove} {add} END",
    }
    return [
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {INDEX} USING fts5({columns}, content='{TABLE}', "
        "content_rowid='id', tokenize='unicode61 remove_diacritics 2', prefix='2 3')",
        *(f"CREATE TRIGGER IF NOT EXISTS {INDEX}_{name} {body}" for name, body in triggers.items()),
        f"INSERT INTO {INDEX} ({INDEX}) VALUES ('rebuild')",
    ]
