"""Markdown as HTML for a page: tables that scroll, headings that can be linked, pictures inside."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from fer_tasks.reports.render import Picture

SPECIAL = re.compile(r"([\\`*_\[\]()|~#!<>&])")


class Html(NamedTuple):
    """A text as HTML, and its headings of level 2 as (id, text)."""

    html: Markup
    headings: list[tuple[str, str]]


def plain(text: object) -> Markup:
    """A text that Markdown shows as it is, on one line, also in a table's cell."""
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return Markup(
        SPECIAL.sub(r"\\\1", words).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")
    )


def to_html(text: str, pictures: Mapping[str, Sequence[Picture]]) -> Html:
    """Render CommonMark with tables; HTML in it is shown as text.

    `pictures`: by the path that the text names, a picture for light pages and one for dark ones. They are
    embedded.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")

    def image(_: Any, tokens: Sequence[Token], index: int, *__: Any) -> str:
        light, dark = pictures[str(tokens[index].attrs["src"])]
        return Markup(
            '<img class="on-light" src="{}" alt="{}"><img class="on-dark" src="{}" alt="{}">'
        ).format(light.uri, light.alt, dark.uri, dark.alt)

    parser.add_render_rule("image", image)
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(text)
    headings = []
    for opening, inside in zip(tokens, tokens[1:], strict=False):
        if opening.type == "th_open":
            opening.attrSet("scope", "col")
        if opening.type == "heading_open":
            slug = re.sub(r"[^a-z0-9]+", "-", inside.content.lower()).strip("-")
            opening.attrSet("id", slug)
            headings += [(slug, inside.content)] if opening.tag == "h2" else []
    return Html(Markup(parser.renderer.render(tokens, parser.options, {})), headings)
