"""The tags that people type for feeds and entries."""

from collections.abc import Iterable

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from tasks.access import visible
from tasks.admin_pages.tag_fields import NewTagsField
from tasks.models import Tag
from tasks.tags import tags_named

# What is done with them: the names of the actions.
GIVE, TAKE = TAGGING = ("give_tag", "take_tag")


def allowed_tags(request: HttpRequest, names: Iterable[str], may_add: bool) -> list[Tag]:
    """Return the tags of these names that the user may use; those that don't exist are made.

    Raises PermissionDenied if one is neither there for the user nor may be made.
    """
    names = list(names)
    found = list(visible(request.user, Tag.objects.filter(name__in=names)))
    missing = set(names) - {tag.name for tag in found}
    if missing and not may_add:
        raise PermissionDenied
    return found + tags_named(missing)


def typed_tags(request: HttpRequest, site: AdminSite) -> set[Tag]:
    """Return the tags that are typed in the field `tag`; if there is none, say why and return none.

    Raises PermissionDenied as `allowed_tags` does.
    """
    try:
        names = NewTagsField().clean(request.POST.get("tag", ""))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return set()
    if not names:
        messages.error(request, _("Type the name of a tag, then choose what to do with it."))
    may_add = site.get_model_admin(Tag).has_add_permission(request)
    return set(allowed_tags(request, names, may_add))
