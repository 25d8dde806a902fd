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
    """Return the tags with these names, each once, and make those that don't exist yet.

    Raises InvalidSchedule for what can't be a tag's name; then none is made.
    """
    return list({tag.pk: tag for tag in tags_by_name(names).values()}.values())


def tags_by_name(names: Iterable[str]) -> dict[str, Tag]:
    """Return the tag of each of these names, as `tags_named` does.

    A name that only differs in the case of its letters from that of a tag means that one, unless
    there is one for each: such are from the time before this rule.
    """
    wanted = check_names(list(names))
    if not wanted:
        return {}
    tags = list(Tag.objects.order_by("pk"))
    exact = {tag.name: tag for tag in tags}
    alike: dict[str, Tag] = {}
    for tag in tags:
        alike.setdefault(tag.name.casefold(), tag)
    found: dict[str, Tag] = {}
    for name in wanted:
        known = exact.get(name) or alike.get(name.casefold())
        # Another process may make the same one.
        found[name] = known or Tag.objects.get_or_create(name=name)[0]
        alike.setdefault(name.casefold(), found[name])
    return found
