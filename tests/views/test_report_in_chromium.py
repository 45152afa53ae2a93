"""A report as a browser has it: at three widths, light and dark, played, sorted, folded, read aloud, printed."""

import shutil

import numpy as np
import pytest

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
from playwright.sync_api import expect, sync_playwright

from flowsim.figures import plot
from flowsim.views.inline_svg import inlined
from flowsim.views.lead import Difference
from flowsim.views.methods import Methods
from flowsim.views.networks import NetworkRow
from flowsim.views.player import scene
from flowsim.views.report import Findings, Section, effect_table, names_of_bars, summary_row, template
from tests.views.test_player import FLOWS, recording
from tests.views.test_report import values

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt install chromium"),
    pytest.mark.timeout(300),
]
WIDTHS = (1280, 768, 360)
SECTIONS = 6


def section(folder, i):
    fig, ax = plot.subplots(figsize=(7, 2))
    ax.plot([0, 1], [0, i])
    plot.save(fig, folder / "figure.svg")
    svg = inlined((folder / "figure.svg").read_text(), f"part{i}", "Which?", "A line.")
    attrs = {"scale": "ratio", "baseline": {"mean frame": 0.9, "moved copy (estimated velocity)": 0.5}}
    answer = values(attrs=attrs, a=[0.3, 0.4], b=[0.1, 0.12])
    rows = [summary_row("test MSE", answer, ["a", "b"], ["b"] if i else [])]
    table = effect_table("test MSE", answer, ["a", "b"], 3)
    return Section(
        f"part{i}", f"Question {i}?", "What it shows.", rows, [table], "", ["a", "b"], {}, {}, svg, "x"
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with six sections, made by the template from numbers and recordings of this test."""
    folder = tmp_path_factory.mktemp("report")
    paths = {name: recording(folder / f"{name}.h5", V) for name, V in (("a", FLOWS), ("b", [(0, 0)]))}
    sections = [section(folder, i) for i in range(SECTIONS)]
    one = Difference("part1", "test MSE", "b", True, True, 0.3, 0.2, 0.5, 0.01)
    html = template("report.html.j2").render(
        title="A test",
        name="test",
        networks=["a", "b"],
        network_rows=[NetworkRow(n, "fernn", "{0}", 1, "shift", 7, 8, 1.5, "1 CPU thread", 2) for n in "ab"],
        partial={},
        seeds=2,
        sections=sections,
        bars=names_of_bars([row for part in sections for row in part.rows]),
        found=Findings(["B is better."], ["0 in a."], 3, {("part1", "x"): ["b"]}, "a", [one], "b is better."),
        told=["A sentence of an analysis."],
        unlearned=[],
        seeds_shown=3,
        robust=5,
        standardised=4,
        provenance={"commits": ["abc"], "versions": [{"torch": "2"}], "checksums": {"x.h5": "f" * 64}},
        methods=Methods(
            ["Networks are trained."], {"fernn": "h = relu(" + "x + " * 40 + "1)"}, "@article{x}"
        ),
        scenes=[scene("probe: flows", paths), scene("test: frames", paths)],
        specification="title: A test",
        rules=[{"rule": "train", "jobs": 2, "seconds": "40", "longest": "30", "memory": "300"}],
        open_sections=4,
        date="2026-01-01",
    )
    (folder / "report.html").write_text(html, encoding="utf-8")
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, report):
    """Opens the report, and at the end finds that it said nothing to the console and asked for nothing."""
    said, contexts = [], []

    def open_report(width=1280, scheme="light", address=""):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url[:5] in ("file:", "data:") or said.append(request.url))
        page.goto(report + address)
        page.wait_for_selector("#player[data-drawn]")
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(opened, width, scheme):
    page = opened(width, scheme)
    page.get_by_role("button", name="Open all sections").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_player_plays_and_takes_choices(opened):
    page = opened()
    drawn = page.locator("#player")
    slider = page.get_by_role("slider", name="frame")
    assert slider.input_value() == "3"
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("document.querySelector('#player input[type=range]').value === '1'")
    page.get_by_role("button", name="Pause", exact=True).click()
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_function("document.getElementById('player').dataset.drawn.endsWith(' 0')")
    assert "none yet" in drawn.inner_text()
    page.keyboard.press("End")
    page.get_by_label("flow of the world").select_option(index=0)
    page.wait_for_function("document.getElementById('player').dataset.drawn.endsWith('0 0 3')")
    assert "MSE 0" in drawn.inner_text()
    page.get_by_label("recording").select_option(index=1)
    page.wait_for_function("document.getElementById('player').dataset.drawn.startsWith('test')")
    page.get_by_role("checkbox", name="b").uncheck()
    assert not page.locator("#player .network h3", has_text="b").is_visible()


def test_maps_carried_back_are_still(opened):
    """What the canvas shows of the network whose law holds is the same at every frame."""
    page = opened()
    slider = page.get_by_role("slider", name="frame")
    pictures = {"state, as it is": set(), "carried back along the flow": set()}
    for frame in range(4):
        slider.fill(str(frame))
        page.wait_for_function(f"document.getElementById('player').dataset.drawn.endsWith(' {frame}')")
        for name, seen in pictures.items():
            tile = page.locator("#player .network", has_text="a").locator("figure", has_text=name).first
            seen.add(tile.locator("canvas").evaluate("canvas => canvas.toDataURL()"))
    assert {name: len(seen) for name, seen in pictures.items()} == {
        "state, as it is": 4,
        "carried back along the flow": 1,
    }


def test_tables_sort(opened):
    page = opened()
    table = page.locator("#part0 table").first
    names = table.locator("tbody th")
    assert names.all_inner_texts() == ["a", "b", "mean frame", "moved copy (estimated velocity)"]
    head = table.get_by_role("button", name="test MSE")
    head.click()
    assert names.all_inner_texts()[:2] == ["b", "a"]
    assert table.locator("th[aria-sort=ascending]").count() == 1
    head.click()
    assert names.all_inner_texts()[0] == "mean frame"


def test_sections_fold_and_a_link_opens_them(opened):
    page = opened()
    folded = "details => details.map(one => one.open)"
    sections = page.locator("section > details")
    assert sections.evaluate_all(folded) == [True] * 4 + [False] * 2
    page.get_by_role("navigation").get_by_role("link", name="Question 5?").click()
    expect(sections.nth(5)).to_have_attribute("open", "")  # once the browser has followed the link
    assert page.evaluate("location.hash") == "#part5"
    assert page.locator("nav").bounding_box()["y"] >= 0  # contents stay in view
    linked = opened(address="#part4").locator("section > details")
    expect(linked.nth(4)).to_have_attribute("open", "")
    assert not page.locator("section details.effects[open]").count()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_axe_finds_nothing(opened, width, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
    )
    page = opened(width, scheme)
    page.get_by_role("button", name="Open all sections").click()
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_print_opens_sections_and_keeps_headings_with_figures(opened):
    page = opened()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("section svg[role=img]:visible").count() >= SECTIONS
    assert not page.locator("nav").is_visible()
    kept = page.locator("section").evaluate_all("all => all.map(one => getComputedStyle(one).breakInside)")
    assert kept == ["avoid"] * SECTIONS
    assert np.all(
        [box["width"] <= 1280 for box in (one.bounding_box() for one in page.locator(".drawn").all())]
    )
