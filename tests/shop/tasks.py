"""The shop's task functions: they only take time, log, report progress and fail."""

import logging
import time
from datetime import date
from typing import Literal, TypeVar

from tasks import progress
from tasks.decorators import background_task, scheduled_task

logger = logging.getLogger("shop")

Result = TypeVar("Result")
Region = Literal["eu", "uk", "us"]


class WarehouseUnavailable(Exception):
    """The warehouse's service doesn't answer."""


@background_task(name="shop.export_orders")
@scheduled_task(name="shop.export_orders", timeout=2_700)
def export_orders(region: Region, batch: int = 100, since: date | None = None) -> dict[str, int]:
    """Send the orders that are paid to the warehouse, in batches.

    Orders that it has already are sent again if they have changed since.
    """
    total = 1_200
    for done in range(0, total, batch):
        progress(done, total, f"{done} of {total} orders")
        logger.info("Batch %d: %d orders sent", done // batch + 1, batch)
        if done % (batch * 4) == batch * 3:
            logger.warning("Order 10%04d has no address: left out", done)
        time.sleep(20)
    return {"orders": total}


@scheduled_task(name="shop.sync_catalogue", timeout=3_600)
def sync_catalogue(supplier: str, pages: int = 60) -> dict[str, int]:
    """Take over a supplier's products, prices and pictures."""
    for page in range(1, pages + 1):
        progress(page - 1, pages, f"page {page} of {pages}")
        logger.info("Page %d: 48 products, %d new", page, page % 3)
        time.sleep(3)
    return {"products": pages * 48}


@background_task(name="shop.report", queue="reports", timeout=900)
@scheduled_task(name="shop.report", queue="reports")
def report(
    kind: Literal["sales", "stock", "returns", "board", "year"],
    recipients: list[str] | None = None,
    day: date | None = None,
) -> dict[str, int]:
    """Write a report and send it to the recipients."""
    months = ("January", "February", "March", "April", "May", "June", "July", "August")
    for number, month in enumerate(months if kind == "year" else ()):
        progress(number, len(months), month)
        logger.info("%s: added up", month)
        time.sleep(45)
    return _quickly({"rows": 4_210})


@scheduled_task(name="shop.update_stock")
def update_stock(warehouse: str) -> dict[str, int]:
    """Ask a warehouse what it has."""
    return _quickly({"products": 8_212, "changed": 14})


@scheduled_task(name="shop.fetch_prices")
def fetch_prices(region: Region, api_token: str) -> dict[str, int]:
    """Take over the prices of a region."""
    return _quickly({"prices": 5_130})


@scheduled_task(name="shop.track_parcels")
def track_parcels(carrier: Literal["DHL", "UPS", "GLS"]) -> dict[str, int]:
    """Ask a carrier where the parcels are."""
    return _quickly({"parcels": 211})


@background_task(name="shop.remind")
@scheduled_task(name="shop.remind")
def remind(about: str, after_days: int = 2) -> dict[str, int]:
    """Write to customers about something that they have left undone."""
    return _quickly({"reminded": 12})


@scheduled_task(name="shop.refresh")
def refresh(what: str) -> dict[str, int]:
    """Bring something up to date that is derived from orders and products."""
    return _quickly({"refreshed": 31})


@background_task(name="shop.clean_up")
@scheduled_task(name="shop.clean_up")
def clean_up(what: str, older_than_days: int = 30) -> dict[str, int]:
    """Delete what nobody needs any more."""
    return _quickly({"deleted": 1_904})


@scheduled_task(name="shop.back_up")
def back_up(what: str) -> dict[str, str]:
    """Copy something to another place."""
    return _quickly({"size": "2.1 GB"})


def _quickly(result: Result) -> Result:
    logger.info("Done: %s", result)
    return result
