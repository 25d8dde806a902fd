from pathlib import Path

from tests.feeds.corpus.__main__ import main

DOCUMENT = """<!--
Description: a title
Expect:      feed['title'] == 'Example'
-->
<rss version="2.0"><channel><title>Example</title></channel></rss>
"""


def test_the_corpus_is_counted_by_what_is_kept(tmp_path: Path, capsys):
    folder = tmp_path / "wellformed"
    folder.mkdir()
    (folder / "kept.xml").write_text(DOCUMENT)
    (folder / "wrong.xml").write_text(DOCUMENT.replace("== 'Example'", "== 'Other'"))
    assert main(str(tmp_path)) == 0
    assert "feedparser keeps 1 of its expectations, and we keep 1" in capsys.readouterr().out


def test_what_is_not_kept_of_the_corpus_fails_unless_it_is_explained(tmp_path: Path, capsys):
    folder = tmp_path / "wellformed"
    folder.mkdir()
    page = DOCUMENT.replace("<rss", "<html><rss")  # which feedparser takes for a feed
    (folder / "page.xml").write_text(page)
    assert main(str(tmp_path)) == 1
    assert "NOT KEPT wellformed/page.xml" in capsys.readouterr().out
