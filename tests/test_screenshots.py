"""The pictures of the README and of docs/: what is shown is taken, and the other way round."""

import re

from tests.screenshots import FINE, IMAGES, THEMES, TROUBLE
from tests.servers import BASE_DIR


def test_each_picture_that_is_shown_is_there_in_both_themes_and_is_taken_by_the_command():
    taken = {f"{shot.name}-{theme}.webp" for shot in (*FINE, *TROUBLE) for theme in THEMES}
    texts = [BASE_DIR / "README.md", *(BASE_DIR / "docs").glob("*.md")]
    shown = {
        name
        for path in texts
        for name in re.findall(r'(?:src|srcset)="[^"]*images/([^"]+)"', path.read_text())
    }
    assert shown == taken == {path.name for path in IMAGES.iterdir()}
