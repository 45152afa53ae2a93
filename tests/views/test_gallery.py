"""The page of all stimuli is up to date, and comes from docstrings and signatures."""

import re
from pathlib import Path

import pytest
from PIL import Image

from flowsim import InputError
from flowsim.__main__ import main
from flowsim.views import gallery

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "stimuli.md"
NAMES = sorted(path.stem for path in (ROOT / "stimuli").glob("*.py"))


def run(*arguments):
    return main([str(a) for a in arguments])


def test_the_page_of_stimuli_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    current = gallery.gallery_page(NAMES, "stimuli")
    assert text == current, (
        "docs/stimuli.md is out of date; make it again: python -m flowsim gallery --into docs/stimuli.md"
    )
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == NAMES
    readme = (ROOT / "README.md").read_text()
    assert "(docs/stimuli.md)" in readme
    assert all(f"`{name}`" in readme for name in NAMES)


def test_every_stimulus_has_a_moving_picture():
    pictures = sorted((PAGE.parent / "stimuli").iterdir())
    assert [path.name for path in pictures] == [
        f"{name}.gif" for name in NAMES if name not in gallery.WITHHELD
    ]
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.n_frames >= 12
            assert picture.width <= gallery.WIDTH
        assert path.stat().st_size < 150_000
    assert sum(path.stat().st_size for path in pictures) < 1_500_000
    assert list(gallery.WITHHELD) == ["moving_kth"]
    assert "moving_kth.gif" not in PAGE.read_text(encoding="utf-8")


def test_the_page_is_written_with_its_pictures(tmp_path, monkeypatch):
    assert run("gallery", "--into", tmp_path / "all.md") == 0
    text = (tmp_path / "all.md").read_text(encoding="utf-8")
    assert text.replace("(all/", "(stimuli/") == PAGE.read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "all").iterdir()} == set(re.findall(r"\(all/(\w+.gif)\)", text))
    monkeypatch.setattr(gallery, "WITHHELD", {})
    monkeypatch.delenv("FLOWSIM_DATA", raising=False)
    with pytest.raises(InputError, match="moving_kth: expected the KTH action videos"):
        gallery.write(["moving_kth"], tmp_path / "other.md")
    assert not (tmp_path / "other.md").exists()


def test_descriptions_come_from_the_docstring():
    def generate(a, b, c, d):
        """Make.

        Parameters
        ----------
        a, b : int
            Of ``both``,
            in px.
        c : {"x", "y"}
        d
            As in `stimuli.moving_digits`.

        Returns
        -------
        nothing : None
            At all.
        """

    texts = gallery.parameter_texts(generate)
    assert texts == {
        "a": "Of `both`, in px.",
        "b": "Of `both`, in px.",
        "c": "",
        "d": "As in `stimuli.moving_digits`.",
    }
    assert gallery.without_reference(texts["d"], "occluder").startswith("Width in px of a grey bar")
    assert (
        gallery.without_reference("As in `stimuli.moving_digits`; but other.", "noise")
        == "As in [moving_digits](#moving_digits); but other."
    )
    assert gallery.parameter_texts(len) == {}
