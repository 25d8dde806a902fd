"""The pages of documents that could not be read: as text, never as what they say they are."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from feeds.models import FailedDocument
from tasks.admin_pages.base import BriefAdmin, time_column
from tasks.admin_pages.formatting import box, one_line
from tasks.admin_pages.secrets import SecretsAdmin
from tasks.masking import mask_text

MOST_SHOWN = 64 * 2**10  # bytes


@admin.register(FailedDocument)
class FailedDocumentAdmin(BriefAdmin, SecretsAdmin):
    """What could not be read, for whoever has the permission to see it."""

    list_display = ("feed", "fetched_at", "brief_why", "shown_size", "content_type")
    list_display_links = ("feed", "fetched_at")
    list_select_related = ("feed",)
    secret_columns = frozenset({"why", "digest", "packed"})
    list_per_page = 50
    show_full_result_count = False
    fields = ("feed", "fetched_at", "shown_why", "content_type", "shown_size", "text")

    class Media:
        css: ClassVar = {"all": ["feeds/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailedDocument]:
        return super().get_queryset(request).defer("packed")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: FailedDocument | None = None) -> Any:
        return self.fields

    fetched_at = time_column("at", gettext_lazy("last fetched"))

    @admin.display(description=gettext_lazy("why it can't be read"))
    def brief_why(self, document: FailedDocument) -> str:
        return one_line(mask_text(document.why))

    @admin.display(description=gettext_lazy("why it can't be read"))
    def shown_why(self, document: FailedDocument) -> str:
        return mask_text(document.why)

    @admin.display(description=gettext_lazy("size"))
    def shown_size(self, document: FailedDocument) -> str:
        return filesizeformat(document.size)

    @admin.display(description=gettext_lazy("its beginning, as text"))
    def text(self, document: FailedDocument) -> SafeString | str:
        """Show the beginning: bytes that are no text, and control characters, as signs."""
        text = document.body[:MOST_SHOWN].decode(errors="replace")
        plain = "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)
        return box(mask_text(plain))
