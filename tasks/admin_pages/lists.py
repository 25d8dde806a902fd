"""What our own lists of records share: the heads of their columns, and the way to other pages.

Their templates share `admin/tasks/list/`.
"""

from collections.abc import Collection, Iterator
from typing import Any

from django import forms
from django.contrib.admin.utils import label_for_field
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR
from django.utils.text import capfirst

# What an action asks about first is called so.
ASKS = "…"


def list_context(
    cl: Any, *, numbers: Collection[str], highest_first: Collection[str] = ()
) -> dict[str, Any]:
    """Return what the template of a list needs of any list.

    The columns in `numbers` are set to the right; those in `highest_first` are sorted from their
    highest value on first.
    """
    return {
        "headers": list(_headers(cl, numbers, highest_first)),
        "previous_url": _page_url(cl, -1),
        "next_url": _page_url(cl, 1),
        "media": forms.Media(),  # Django's own scripts of a list don't know this one.
    }


def tab(cl: Any, name: str, title: Any, number: int, look: str = "") -> dict[str, Any]:
    """Return a view of the list, all of it for ""; `look` is that of its sign, if it has one."""
    changed = {"view": name} if name else {}
    return {
        "name": name,
        "title": title,
        "number": number,
        "look": look if number else "",
        "is_on": (cl.params.get("view") or "") == name,
        "url": cl.get_query_string(changed, ["view", PAGE_VAR, "status__exact"]),
    }


def _headers(
    cl: Any, numbers: Collection[str], highest_first: Collection[str]
) -> Iterator[dict[str, Any]]:
    """Yield the heads of the columns, with links that sort by them."""
    sorted_by = cl.get_ordering_field_columns() if ORDER_VAR in cl.params else {}
    for place, name in enumerate(cl.list_display):
        if name == "action_checkbox":
            continue
        label = str(label_for_field(name, cl.model, model_admin=cl.model_admin))
        present = sorted_by.get(place)
        is_descending = present == "asc" or (present is None and name in highest_first)
        order = f"-{place}" if is_descending else str(place)
        yield {
            "label": label if name in highest_first else capfirst(label),  # p50 isn't P50
            "is_number": name in numbers,
            "sort": {"asc": "ascending", "desc": "descending"}.get(present or "", ""),
            "url": name in cl.sortable_by and cl.get_query_string({ORDER_VAR: order}, [PAGE_VAR]),
        }


def _page_url(cl: Any, step: int) -> str:
    """Return the address of the page before or after; empty if there is none."""
    number = cl.page_num + step
    exists = 1 <= number <= cl.paginator.num_pages
    return cl.get_query_string({PAGE_VAR: number}) if exists else ""
