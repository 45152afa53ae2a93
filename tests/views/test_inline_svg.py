"""Figures inside a page have names of their own, a title and a description."""

import re
from xml.etree import ElementTree

from flowsim.figures import plot
from flowsim.views.inline_svg import inlined, width_in_inches


def drawing(tmp_path):
    fig, ax = plot.subplots(figsize=(3, 2))
    ax.plot([0, 1], [1, 0], "o-")
    plot.save(fig, tmp_path / "a.svg")
    return (tmp_path / "a.svg").read_text()


def test_a_figure_is_named_scales_and_clashes_with_none(tmp_path):
    svg = drawing(tmp_path)
    one, two = (inlined(svg, name, "A < B?", 'what "it" shows') for name in ("one", "two"))
    root = ElementTree.fromstring(one.replace("xlink:href", "href"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    others = [e.get("id") for e in ElementTree.fromstring(two.replace("xlink:href", "href")).iter()]
    assert not set(ids) & set(others)
    assert len(ids) == len(set(ids))
    assert {element.get("href")[1:] for element in root.iter() if element.get("href")} <= set(ids)
    assert root.get("viewBox")
    assert root.get("width") is None
    assert root.find("title").text == "A < B?"
    assert root.find("desc").text == 'what "it" shows'
    for gone in ("<style", "<metadata", "<?xml", "<!DOCTYPE"):
        assert gone not in one


def test_coordinates_are_shortened_and_numbers_that_are_read_are_not(tmp_path):
    fig, ax = plot.subplots(figsize=(3, 2))
    ax.plot([0, 1], [1 / 3, 1 / 7], label="goal, 0.0049 (1.2345 to 6.7891)")
    ax.legend()
    ax.set_yticks([0.125, 0.3125], ["0.125", "0.3125"])
    plot.save(fig, tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    inside = inlined(svg, "a", "", "")
    texts = [e.text for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert [
        e.text for e in ElementTree.fromstring(inside.replace("xlink:href", "href")).iter("text")
    ] == texts
    assert {"goal, 0.0049 (1.2345 to 6.7891)", "0.3125"} <= set(texts)
    paths = " ".join(
        e.get("d") for e in ElementTree.fromstring(inside.replace("xlink:href", "href")).iter("path")
    )
    assert re.search(r"\d\.\d\d", paths)
    assert not re.search(r"\d\.\d{3}", paths)
    assert "<!--" not in inside


def test_the_width_that_was_meant_is_read(tmp_path):
    assert round(width_in_inches(drawing(tmp_path)), 2) == 3
    assert width_in_inches("<svg></svg>") == 0
