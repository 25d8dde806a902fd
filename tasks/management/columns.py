"""Text in the columns of a terminal."""

import unicodedata


def fit(text: str, columns: int) -> str:
    """Return a text that is cut or padded to this many columns of a terminal."""
    if width(text) > columns:
        while width(text) >= columns:
            text = text[:-1]
        text += "…"
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
