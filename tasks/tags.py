"""Tags by their names, as commands and code give them."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError

from tasks.database import atomic
from tasks.exceptions import InvalidSchedule
from tasks.models import Tag


def tags_named(names: Iterable[str]) -> list[Tag]:
    """Return the tags with these names, and make those that don't exist yet.

    Raises InvalidSchedule for what can't be a tag's name; then none is made.
    """
    wanted = dict.fromkeys(names)
    known = {tag.name: tag for tag in Tag.objects.filter(name__in=wanted)}
    new = [Tag(name=name) for name in wanted if name not in known]
    for tag in new:
        try:
            tag.clean_fields()
        except ValidationError as error:
            text = f"“{tag.name}”: {' '.join(error.messages)}"
            raise InvalidSchedule(text, {"tags": [text]}) from error
    with atomic():
        # Another process may make the same ones.
        known |= {tag.name: Tag.objects.get_or_create(name=tag.name)[0] for tag in new}
    return [known[name] for name in wanted]
