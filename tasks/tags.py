"""Tags by their names, as commands and documents give them."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from tasks.exceptions import InvalidSchedule
from tasks.models import Tag


def check_names(names: object) -> list[str]:
    """Return the names of tags without repetitions; raises InvalidSchedule if one can't be one."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        text = _("tags: %(value).100r is not a list of names.") % {"value": names}
        raise InvalidSchedule(text, {"tags": [text]})
    for name in names:
        try:
            Tag(name=name).clean_fields()
        except ValidationError as error:
            text = f"“{name}”: {' '.join(error.messages)}"
            raise InvalidSchedule(text, {"tags": [text]}) from error
    return list(dict.fromkeys(names))


def tags_named(names: Iterable[str]) -> list[Tag]:
    """Return the tags with these names, and make those that don't exist yet.

    Raises InvalidSchedule for what can't be a tag's name; then none is made.
    """
    # Another process may make the same ones.
    return [Tag.objects.get_or_create(name=name)[0] for name in check_names(list(names))]
