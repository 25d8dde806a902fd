"""Feed documents for the tests."""

from pathlib import Path

DATA = Path(__file__).parent / "data"
URL = "https://feeds.example/news.xml"


def document(name: str) -> bytes:
    """Return a document of the folder `data`."""
    return (DATA / name).read_bytes()


def rss(items: str = "", head: str = "<title>News</title>") -> bytes:
    """Return an RSS 2.0 document with these items."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel>{head}'
        f"<link>https://feeds.example/</link>{items}</channel></rss>"
    ).encode("utf-8", "surrogatepass")


def item(number: int | str, **elements: str) -> str:
    """Return an item with a guid, a title and other elements."""
    elements = {"guid": f"item-{number}", "title": f"Item {number}", **elements}
    return f"<item>{''.join(f'<{name}>{text}</{name}>' for name, text in elements.items())}</item>"
