"""Links from the pages of feeds and entries."""

from django.utils.html import format_html
from django.utils.safestring import SafeString

from tasks.admin_pages.formatting import NONE
from tasks.masking import mask_text


def web_link(url: str, text: str) -> SafeString | str:
    """Link to an external page, without telling it where the reader comes from.

    An address with a secret in it is shown without the secret, and so isn't a link.
    """
    if not url:
        return text or NONE
    if (masked := mask_text(url)) != url:
        return masked
    return format_html('<a href="{}" rel="noopener noreferrer">{}</a>', url, text or url)
