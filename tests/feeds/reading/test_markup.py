import pytest

from feeds.reading.markup import best_of_srcset, safe_html
from feeds.reading.text import start_of, title_text

BASE = "https://site.example/posts/one"


@pytest.mark.parametrize(
    ("markup", "address"),
    [
        ('<iframe src="https://v.example/1"></iframe>', "https://v.example/1"),
        ('<iframe data-src="//v.example/1" src="about:blank"></iframe>', "https://v.example/1"),
        ("<iframe width=1 src=/embed/1 allowfullscreen>", "https://site.example/embed/1"),
        ('<video src="a.mp4" poster="p.jpg"></video>', "https://site.example/posts/a.mp4"),
        ('<video controls><source src="a.webm"><source src="b.mp4"></video>', "a.webm"),
        ('<audio src="a.mp3">old</audio>', "https://site.example/posts/a.mp3"),
        ('<object data="a.swf"></object>', "https://site.example/posts/a.swf"),
        ('<object><param name="movie" value="x"><embed src="a.swf"></object>', "a.swf"),
        ('<amp-iframe src="https://v.example/1"></amp-iframe>', "https://v.example/1"),
        ('<IFRAME SRC="https://v.example/1"/>', "https://v.example/1"),
    ],
)
def test_what_a_text_embeds_leaves_a_link(markup, address):
    cleaned = safe_html(f"<p>a</p>{markup}<p>b</p>", BASE)
    assert cleaned.count("<a href=") == 1
    assert address in cleaned
    assert cleaned.startswith("<p>a</p>")
    assert cleaned.endswith("<p>b</p>")


@pytest.mark.parametrize(
    "markup",
    [
        '<iframe src="javascript:alert(1)"></iframe>',
        '<iframe src="data:text/html,x"></iframe>',
        '<iframe srcdoc="&lt;script&gt;alert(1)&lt;/script&gt;"></iframe>',
        "<iframe src='https://v.example/\"><script>alert(1)</script>'></iframe>",
        "<img data-src='x\" onerror=\"alert(1)'>",
        "<img data-src=x onerror=alert(1)>",
        '<img data-src="javascript:alert(1)">',
        '<video title="<script>alert(1)</script>" src="a.mp4">',
    ],
)
def test_what_replaces_an_embedded_thing_is_sanitised(markup):
    cleaned = safe_html(markup, BASE).lower()
    assert not [
        one for one in ("<script", "<iframe", "javascript:", " onerror=", "data:") if one in cleaned
    ]


@pytest.mark.parametrize(
    ("markup", "source"),
    [
        ('<img data-src="a.jpg">', "https://site.example/posts/a.jpg"),
        (
            '<img src="data:image/gif;base64,R0" data-original="/a.jpg">',
            "https://site.example/a.jpg",
        ),
        ('<img src="/blank.gif" data-lazy-src="/a.jpg" alt="a > b">', "https://site.example/a.jpg"),
        ('<img srcset="/a.jpg 320w, /b.jpg 1280w">', "https://site.example/b.jpg"),
        ('<img src="" srcset="a.jpg">', "https://site.example/posts/a.jpg"),
        (
            '<picture><source srcset="/a.webp 1x"><img alt="x"></picture>',
            "https://site.example/a.webp",
        ),
        ('<amp-img src="/a.jpg" width="1"></amp-img>', "https://site.example/a.jpg"),
        ('<img src="/a.jpg" srcset="/b.jpg 2x"/>', "https://site.example/a.jpg"),
        (
            '<img class="lazy" data-src="/a.jpg"><noscript><img src="/a.jpg"></noscript>',
            "https://site.example/a.jpg",
        ),
    ],
)
def test_a_lazy_image_keeps_its_source(markup, source):
    cleaned = safe_html(markup, BASE)
    assert cleaned.count("<img") == 1
    assert f'src="{source}"' in cleaned


def test_the_text_for_readers_without_scripts_is_no_markup():
    assert safe_html("a<noscript><b>c</b></noscript>", BASE) == "a<b>c</b>"


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ("/a.jpg 1x, /b.jpg 2x", "/b.jpg"),
        ("/a.jpg 800w,/b.jpg 400w", "/a.jpg"),
        ("https://a.example/x,y.jpg 1x, https://a.example/z.jpg 3x", "https://a.example/z.jpg"),
        ("/a.jpg", "/a.jpg"),
        ("/a.jpg big", "/a.jpg"),
        ("", ""),
        (" , ,", ""),
    ],
)
def test_the_largest_image_of_a_set_is_taken(candidates, best):
    assert best_of_srcset(candidates) == best


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        (
            "How the <canvas> &amp; <video> elements work</b>",
            "How the <canvas> & <video> elements work",
        ),
        ("A <b>bold</b> <i class='x'>title</i><br>", "A bold title"),
        ("Use &lt;b&gt; for bold", "Use <b> for bold"),
        ("vector<int> and map<K, V>", "vector<int> and map<K, V>"),
        ("a < b > c", "a < b > c"),
        ("<!-- x -->a", "a"),
    ],
)
def test_a_title_keeps_the_elements_that_it_is_about(markup, title):
    assert title_text(markup) == title


@pytest.mark.parametrize(
    ("markup", "start"),
    [
        ("<p>One.</p><p>Two.</p>", "One."),
        ("<p> </p><p><img src=x></p><div>Two<br>three</div>", "Two"),
        ("word " * 40, ("word " * 16).strip() + "…"),
        ("x" * 200, "x" * 79 + "…"),
        ("<img src=x>", ""),
    ],
)
def test_an_entry_without_a_title_has_the_start_of_its_text(markup, start):
    assert start_of(markup) == start
