"""Figures as part of a page: SVG that a screen reader can name, that scales, and whose ids are its own."""

from __future__ import annotations

import re
from html import escape

POINTS_PER_INCH = 72


def inlined(svg: str, name: str, title: str, description: str) -> str:
    """An SVG file of matplotlib as an element of an HTML page.

    Parameters
    ----------
    svg : str
        The file.
    name : str
        Goes before every id, so that those of several figures differ.
    title, description : str
        What the figure is, and what it shows.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    opening, rest = re.match(r"(<svg[^>]*>)(.*)", body, re.DOTALL).groups()  # type: ignore[union-attr]
    opening = re.sub(r'\s(?:width|height|version|xmlns:xlink|xmlns)="[^"]*"', "", opening)
    opening = opening.replace(
        "<svg", f'<svg role="img" aria-labelledby="{name}-title" aria-describedby="{name}-desc"', 1
    )
    named = (
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return opening + named + _shorter(rest)


def _shorter(body: str) -> str:
    """The same drawing in fewer characters: coordinates to a hundredth of a point, comments and empty lines
    left out. What is written between the tags, numbers too, stays as it is.
    """
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), body)
    return re.sub(r"\n\s*", "\n", body)


def width_in_inches(svg: str) -> float:
    """How wide an SVG file of matplotlib is meant to be; 0 where it does not say."""
    found = re.search(r'<svg[^>]*\swidth="([\d.]+)pt"', svg)
    return float(found[1]) / POINTS_PER_INCH if found else 0.0
