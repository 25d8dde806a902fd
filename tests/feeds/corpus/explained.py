"""The expectations of feedparser's corpus that our parser doesn't keep, and why."""

_TITLE = "A title is text here: the links in its markup are dropped, not made absolute."
_HTML = "The same HTML in another form: feedparser's sanitiser writes it anew, ours does so later."
_DRAWING = "Drawings and formulas are dropped: only their text is kept."
_NOT_BROKEN = "Only what was wrong with the document is a defect, not the way it was sent."
_LATER = "Kept as it is by the reader, and cleaned by the sanitiser."

EXPLAINED = {
    "encoding/bozo_bogus_encoding.xml": _NOT_BROKEN,
    "encoding/bozo_http_i18n.xml": _NOT_BROKEN,
    "encoding/bozo_http_text_plain.xml": _NOT_BROKEN,
    "encoding/bozo_http_text_plain_charset.xml": _NOT_BROKEN,
    "encoding/bozo_linenoise.xml": "UTF-8 with a stray byte is read as UTF-8, not as another set.",
    "encoding/demoronize-3.xml": _LATER,
    "entities/lang.xml": "The reference means what HTML 5 says, U+27E8; feedparser goes by HTML 4.",
    "entities/rang.xml": "The reference means what HTML 5 says, U+27E9; feedparser goes by HTML 4.",
    "illformed/rss_empty_document.xml": "An empty document is refused as a whole.",
    "wellformed/atom/relative_uri.xml": _TITLE,
    "wellformed/atom/relative_uri_inherit.xml": _TITLE,
    "wellformed/atom/relative_uri_inherit_2.xml": _TITLE,
    "wellformed/atom10/missing_quote_in_attr.xml": _HTML,
    "wellformed/atom10/qna.xml": _HTML,
    "wellformed/atom10/relative_uri.xml": _TITLE,
    "wellformed/atom10/relative_uri_inherit.xml": _TITLE,
    "wellformed/atom10/relative_uri_inherit_2.xml": _TITLE,
    "wellformed/atom10/tag_in_attr.xml": _HTML,
    "wellformed/base/rel_uri_with_unicode_character.xml": _LATER,
    "wellformed/namespace/atommathml.xml": _DRAWING,
    "wellformed/namespace/atomsvg.xml": _DRAWING,
    "wellformed/namespace/atomsvgdesc.xml": _DRAWING,
    "wellformed/namespace/atomsvgtitle.xml": _DRAWING,
    "wellformed/namespace/atomxlink.xml": _DRAWING,
    "wellformed/namespace/rss2.0mathml.xml": _DRAWING,
    "wellformed/namespace/rss2.0svg.xml": _DRAWING,
    "wellformed/namespace/rss2.0svg5.xml": _DRAWING,
    "wellformed/namespace/rss2.0svgtitle.xml": _DRAWING,
    "wellformed/namespace/rss2.0xlink.xml": _DRAWING,
    "wellformed/rss/item_description_br.xml": _HTML,
    "wellformed/rss/item_description_br_shorttag.xml": _HTML,
    "wellformed/rss/item_description_not_a_doctype.xml": _HTML,
    "wellformed/sgml/charref_uppercase_x.xml": _HTML,
}
