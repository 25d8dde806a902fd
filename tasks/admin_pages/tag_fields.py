"""Fields for tags."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy

from tasks.exceptions import InvalidSchedule
from tasks.tags import check_names


class NewTagsField(forms.CharField):
    """The names of tags that may not exist yet, as they are typed: with commas between them."""

    def __init__(self) -> None:
        super().__init__(
            label=gettext_lazy("New tags"),
            required=False,
            max_length=200,
            widget=forms.TextInput({"class": "n16", "placeholder": gettext_lazy("a new one")}),
            help_text=gettext_lazy("Several with a comma."),
        )

    def clean(self, value: Any) -> list[str]:
        """Return the names; raises ValidationError for one that no tag can have."""
        typed = [name.strip() for name in super().clean(value).split(",")]
        try:
            return check_names([name for name in typed if name])
        except InvalidSchedule as error:
            raise ValidationError(str(error)) from error
