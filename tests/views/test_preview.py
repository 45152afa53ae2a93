"""A look at a stimulus shows its frames pixel by pixel and says what is true."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from flowsim import Translation
from flowsim.__main__ import main
from flowsim.scenes.scene import Scene, stimulus
from flowsim.views import gallery, preview
from stimuli import moving_digits

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return main([str(a) for a in arguments])


def black(truth, frames=2):
    """Black frames of 6x8 px with this truth."""

    def render(scene: Scene, device):
        return torch.zeros(len(scene), scene.frames, *scene.frame_shape)

    return stimulus(truth, render, frames=frames, frame_shape=(6, 8), group=Translation())


def test_the_animation_shows_every_pixel(tmp_path):
    assert run("preview", "moving_digits", "--seed", 3, "--into", tmp_path / "a.png") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.gif"}
    expected = moving_digits.generate("test", np.random.default_rng(3), trials=3).frames.values
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["loop"] == 0
        images = [np.array(frame.convert("L")) for frame in ImageSequence.Iterator(picture)]
    assert len(images) == 12
    factor = (images[0].shape[1] - 2 - 2 * preview.GAP) // (3 * 16)
    assert factor > 10
    for t, image in enumerate(images):
        for trial in range(3):
            left = 1 + trial * (16 * factor + preview.GAP)
            panel = image[1 : 1 + 16 * factor, left : left + 16 * factor].reshape(16, factor, 16, factor)
            assert (panel == np.round(255 * expected[trial, t])[:, None, :, None]).all()


def test_the_contact_sheet_shows_every_pixel(tmp_path):
    few = preview.sample("moving_digits", "test", {}, seed=3)
    figure = preview.contact_sheet(few)
    figure.set_dpi(preview.DPI)
    extent = figure.axes[0].get_window_extent()
    preview.write(few, tmp_path / "a.png")
    image = np.array(Image.open(tmp_path / "a.png").convert("L")).astype(int)
    gap, columns = 2, range(0, 12, 2)
    factor, rest = divmod(round(extent.width), len(columns) * (16 + gap) + gap)
    assert factor >= 8
    assert not rest
    top = image.shape[0] - round(extent.height) + gap * factor
    for row in range(3):
        for column, t in enumerate(columns):
            y, x = top + row * 18 * factor, round(extent.x0) + (gap + column * 18) * factor
            panel = image[y : y + 16 * factor, x : x + 16 * factor].reshape(16, factor, 16, factor)
            assert abs(panel - 255 * few.frames[row, t][:, None, :, None]).max() <= 1


def test_rows_of_a_probe_are_its_flows():
    few = preview.sample("moving_digits", "probe", {"objects": 1})
    assert few.names == [f"flow {i}" for i in range(9)]
    assert few.truth[0][0] == "reference"
    assert re.fullmatch(r"digit \d: at rest", few.truth[0][1])
    assert few.truth[1] == [
        "vy -1, vx -1 px/frame".replace(" -", f"{preview.KEEP}-").replace(" px", f"{preview.KEEP}px")
    ]
    np.testing.assert_array_equal(np.roll(few.frames[0, 4], (-4, -4), (0, 1)), few.frames[1, 4])
    ticks = [label.get_text() for label in preview.contact_sheet(few).axes[0].get_yticklabels()]
    assert [text.split("\n")[0] for text in ticks] == few.names


@pytest.mark.parametrize(("split", "rows"), [("train", 3), ("sweep", 9), ("probe", 9), ("control", 4)])
def test_few_trials_whatever_is_asked_for(split, rows, monkeypatch):
    real, made = moving_digits.generate, []

    @functools.wraps(real)
    def spied(*positional, **arguments):
        made.append(arguments["trials"])
        return real(*positional, **arguments | {"trials": 3})

    monkeypatch.setattr(moving_digits, "generate", spied)
    asked = {"trials": 10**7, "frames": 200, "sweep_speed": 5, "probe_speed": 2}
    few = preview.sample("moving_digits", split, asked)
    assert made == [3 if split == "train" else 1]
    assert few.frames.shape == (rows, preview.FRAMES, 16, 16)
    assert len(few.names) == len(set(few.names)) == rows


def test_an_experiment_file(tmp_path):
    text = (ROOT / "experiments" / "digits.yaml").read_text()
    text = re.sub(r"(?m)^  fernn.*\n", "", text).replace("{height: 16, width: 16,", "{height: 17, width: 15,")
    (tmp_path / "own.yaml").write_text(text)
    family, spec = preview.family_and_spec(str(tmp_path / "own.yaml"), "train")
    assert family == "moving_digits"
    assert spec == {"height": 17, "width": 15, "objects": 2, "max_speed": 1, "trials": 4096, "frames": 36}
    into = tmp_path / "a.png"
    assert (
        run("preview", tmp_path / "own.yaml", "--split", "train", "--spec", '{"width": 30}', "--into", into)
        == 0
    )
    with Image.open(tmp_path / "a.gif") as picture:
        factor = (picture.width - 2 - 2 * preview.GAP) // (3 * 30)
        assert picture.width == 3 * 30 * factor + 2 * preview.GAP + 2


def truth_of(made, trial=0):
    return [line.replace(preview.KEEP, " ") for line in preview.trial_truth(made.isel(trial=trial))]


def test_the_truth_is_told_in_short():
    each, always = ("trial", "object"), ("trial", "object", "time")
    made = black(
        {
            "label": (each, np.array([[3, 7], [0, 1]]), "", "digit"),
            "velocity_vy": (each, np.array([[-1, 0], [0, 0]]), "px/frame", ""),
            "velocity_vx": (each, np.array([[0, 0.5], [0, 0]]), "px/frame", ""),
            "velocity_omega": (each, np.array([[0, -10.0], [20, 0]]), "deg/frame", ""),
        }
    )
    assert truth_of(made) == [
        "digit 3: vy -1, vx 0 px/frame",
        "digit 7: vy 0, vx +0.5 px/frame, omega -10 deg/frame",
    ]
    assert truth_of(made, 1) == ["digit 0: omega +20 deg/frame", "digit 1: at rest"]
    changing = black({"velocity_vx": (always, np.arange(10).reshape(1, 5, 2), "px/frame", "")})
    assert truth_of(changing) == ["at rest", "vx +2 px/frame", "vx +4 px/frame", "and 2 more", "at frame 0"]
    assert truth_of(black({"depth": (each, np.ones((1, 1)), "", "depth")})) == []
    assert truth_of(black({"velocity_vy": (("trial",), np.array([2]), "px/frame", "")})) == ["vy +2 px/frame"]


def test_labels_are_told_by_their_names():
    def named(meaning, **attrs):
        made = black({"label": (("trial", "object"), np.array([[1]]), "", meaning)})
        made.label.attrs |= attrs
        return truth_of(made)

    assert named("action: 0 boxing, 1 hand_clapping, 11 walking") == ["hand_clapping"]
    assert named("action", flag_values=np.array([0, 1]), flag_meanings="boxing waving") == ["waving"]
    assert named("digit") == ["digit 1"]
    assert named("1 2 3 of 4") == ["1 2 3 of 4 1"], "no name follows the number"


def test_lines_are_no_wider_than_their_panel():
    few = preview.sample("optic_flow", "test", {"motions": ["mixture"]})
    images = preview.animation(few, gallery.WIDTH)
    assert images[0].width <= gallery.WIDTH
    panel = (images[0].width - 2 - 2 * preview.GAP) // 3
    between = np.array(images[0])[
        panel + 3 :, panel + 2 : panel + preview.GAP
    ]  # below and between the panels
    assert (between == 255).all()
    assert (np.array(images[0])[panel + 3 :, :panel] < 100).any()


def test_the_same_look_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        preview.write(preview.sample("random_dots", "test", {}), tmp_path / f"{name}.png")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preview", "moving_digits", "--into", "{at}/a.jpg"], r"--into: expected a file ending in .png \(a .gif .*got .*a.jpg"),
        (["preview", "stars", "--into", "{at}/a.png"], "unknown stimulus 'stars'; expected one of: accelerating_digits"),
        (["preview", "moving_digits", "--spec", '{"hight": 9}', "--into", "{at}/a.png"], "stimulus moving_digits: unknown key 'hight'"),
        (["preview", "moving_digits", "--spec", '{"height": 3}', "--into", "{at}/a.png"], "at least 8x8 px; got 3x16"),
        (["preview", "{at}/none.yaml", "--into", "{at}/a.png"], "none.yaml: expected an experiment file"),
        (["preview", "moving_digits", "--into", "{at}/file/a.png"], "cannot write .*a.gif: .*; choose a folder"),
        (["gallery", "--into", "{at}/a.html"], "--into: expected a file ending in .md; got .*a.html"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, capsys, arguments, message):
    (tmp_path / "file").touch()
    assert run(*(a.replace("{at}", str(tmp_path)) for a in arguments)) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(f"error: .*{message}", last), last
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_unknown_split_is_told(capsys):
    with pytest.raises(SystemExit):
        run("preview", "moving_digits", "--split", "holdout", "--into", "a.png")
    assert "invalid choice: 'holdout'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["preview", "gallery"])
def test_help_says_what_is_read_and_written(verb, capsys):
    with pytest.raises(SystemExit):
        run(verb, "--help")
    text = capsys.readouterr().out
    assert "Reads" in text
    assert "writes" in text


def test_the_reference_is_the_flow_at_rest(monkeypatch):
    """Also in a user's own probe, in which it is not the first."""

    class Reversed:
        @staticmethod
        def generate(split, rng, *, trials: int = 1):
            made = moving_digits.generate(
                split, rng, trials=trials, height=16, width=16, frames=4, probe_speed=1
            )
            return made.isel(flow=slice(None, None, -1))

    monkeypatch.setattr(preview.ideas, "load", lambda *_: Reversed)
    drawn = preview.sample("any", "probe", {})
    titles = [words[0] for words in drawn.truth]
    assert titles.count("reference") == 1
    assert titles[-1] == "reference"
