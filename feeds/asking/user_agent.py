"""How we introduce ourselves to the servers that are asked."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

PRODUCT = "django-schedule-ledger"


def user_agent(contact: str) -> str:
    """Return the header User-Agent; `contact` is an address about who asks, "" if there is none.

    Who reads its log counts readers by it: a site is one, however many people look at it.
    """
    about = ["feed reader", "1 subscriber", *([f"+{contact}"] if contact else [])]
    return f"{_product()} ({'; '.join(about)})"


@cache
def _product() -> str:
    try:
        return f"{PRODUCT}/{version(PRODUCT)}"
    except PackageNotFoundError:
        return PRODUCT
