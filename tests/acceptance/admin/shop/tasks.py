"""Task functions with arguments of many types, and some that take long, or fail."""

import json
import logging
import time
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from tasks import progress
from tasks.decorators import background_task, scheduled_task
from tasks.models import Calendar

logger = logging.getLogger("shop")


@dataclass
class Sender:
    """Who an invoice is from."""

    name: str
    copies: int = 1


@scheduled_task(name="shop.send_invoices")
def send_invoices(  # noqa: D417  (only some have help)
    region: Literal["eu", "us"],
    days: int = 7,
    *,
    total: Decimal = Decimal("25.00"),
    since: date | None = None,
    dry_run: bool = False,
    sender: Sender | None = None,
    closed: Calendar | None = None,
) -> dict[str, object]:
    """Send what is due.

    Args:
        days: Overdue by at least this many days.
        dry_run: Only log.

    """
    logger.info("invoices of %s, %d days", region, days)
    return {"region": region, "days": days, "sent": 12, "dry_run": dry_run}


@background_task(name="shop.import_orders")
@scheduled_task(name="shop.import_orders")
def import_orders(text: str = '{"orders": []}') -> int:
    """Import the orders of a file."""
    logger.info("reading %d characters", len(text))
    return len(json.loads(text)["orders"])


@scheduled_task(name="shop.rebuild_index", timeout=3_600)
def rebuild_index(pages: int, pause: float = 0.2) -> int:
    """Index one page after the other."""
    for number in range(pages):
        logger.log(logging.WARNING if number % 10 == 9 else logging.INFO, "page %d done", number)
        progress(number, pages, f"page {number} of {pages}")
        time.sleep(pause)
    return pages


@background_task(name="shop.charge_cards")
@scheduled_task(name="shop.charge_cards", queue="high")
def charge_cards(api_token: str, limit: int = 100) -> int:
    """Charge the cards of today."""
    return limit
