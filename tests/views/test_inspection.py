"""`flowsim inspect` says what each file is, and which files are damaged or none of flowsim's."""

import json

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from flowsim import InputError, Site, Translation, build, record
from flowsim.__main__ import main
from flowsim.files import coordinates
from flowsim.views.inspection import brief, describe, size_of, velocities_in_words
from stimuli import moving_digits, rotating_digits

STIMULUS = {"height": 8, "width": 9, "trials": 4, "frames": 6}
TRAIN = {
    "name": "small",
    "network": {"model": "fernn", "max_speed": 1, "channels": 3, "decoder_layers": 1},
    "train": {"context": 3, "horizon": 2, "sequences": 8, "batch": 4, "validate_every": 4},
}


def run(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every file that an experiment writes."""
    at = tmp_path_factory.mktemp("experiment")
    for split in ("train", "valid", "probe"):
        run(
            "stimulus",
            "moving_digits",
            split,
            "--spec",
            json.dumps(STIMULUS),
            "--seed",
            7,
            "--into",
            at / f"{split}.h5",
        )
    data = ("--train", at / "train.h5", "--valid", at / "valid.h5", "--device", "cpu")
    run("train", "--spec", json.dumps(TRAIN), *data, "--into", at / "a.pt")
    run("record", "--model", at / "a.pt", "--stimulus", at / "probe.h5", "--into", at / "rec.h5")
    run("analyse", "equivariance_error", "--recording", at / "rec.h5", "--into", at / "err.h5")
    run("figure", "equivariance_error", "--results", at / "err.h5", "--into", at / "err.svg")
    return at


def inspected(path, *more, capsys):
    capsys.readouterr()
    assert run("inspect", path, *more) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


def test_a_stimulus(folder, capsys):
    text = inspected(folder / "probe.h5", capsys=capsys)
    assert text.startswith(f"{folder / 'probe.h5'}: stimulus (moving_digits), ")
    for line in (
        "family moving_digits, split probe, source bundled, height 8, width 9",
        "seed         7",
        f"torch {torch.__version__}",
        "9 of translation, (vy, vx) in {-1..1}^2 px/frame",
        "dimensions   flow 9, trial 4, time 6, y 8, x 9, object 2",
        "frames (flow, trial, time, y, x): float32, chunks 1x4x6x8x9, gzip 4 and shuffle, 62.2 kB, ",
        "label (trial, object): int64, ",
        "velocity_vy (trial, object): int64, ",
        "px/frame (velocity, positive down)",
    ):
        assert line in text, line
    assert "law" not in text
    assert "check" not in text
    assert "  flows  " not in inspected(folder / "train.h5", capsys=capsys)


def test_weights(folder, capsys):
    text = inspected(folder / "a.pt", capsys=capsys)
    assert ": weights (small), " in text.splitlines()[0]
    for line in (
        "network (model fernn, max_speed 1, channels 3, decoder_layers 1)",
        f"{folder / 'train.h5'}, sha256 ",
        "8 sequences on 1 CPU thread, best validation loss 0.",
        "frames 8x9 px",
        "law        transport+shift",
        "216 values in 4 tensors",
        "3x3x3x3 float32",
    ):
        assert line in text, line


def test_a_checkpoint(folder, capsys):
    text = inspected(folder / "a.ckpt", capsys=capsys)
    assert ": checkpoint (small), " in text.splitlines()[0]
    assert "8 of 8 sequences, best validation loss 0." in text
    assert "model fernn" in text
    assert "a file of sha256 " in text
    (folder / "renamed.pt").write_bytes((folder / "a.ckpt").read_bytes())
    assert ": checkpoint (small), " in inspected(folder / "renamed.pt", capsys=capsys)


def test_a_recording(folder, capsys):
    text = inspected(folder / "rec.h5", capsys=capsys)
    assert ": recording (small), " in text.splitlines()[0]
    for line in (
        "sites [state, prediction], every 1, ",
        f"{folder / 'a.pt'}, sha256 ",
        f"{folder / 'probe.h5'}, sha256 ",
        "transport+shift (state)",
        "flows        9 of translation, (vy, vx) in {-1..1}^2 px/frame",
        "velocities   9 of translation, (vy, vx) in {-1..1}^2 px/frame",
        "horizon 2, task predict, parameters 216, training_seconds ",
        "hardware 1 CPU thread, context 6",
        "state (flow, trial, time, velocity, channel, y, x): float32, chunks 9x1x1x9x3x8x9, gzip 4 and shuffle, 1.68 MB, ",
        "curve_valid_loss (validation): float64, 16 B",
    ):
        assert line in text, line
    assert all(len(line) < 500 for line in text.splitlines())


def test_results_of_an_analysis(folder, capsys):
    text = inspected(folder / "err.h5", capsys=capsys)
    assert ": results of an analysis (equivariance_error), " in text.splitlines()[0]
    assert f"{folder / 'rec.h5'}, sha256 " in text
    assert "network      small" in text
    assert "law (law): text, invariant, transport, shift, ..." in text


def test_figures(folder, capsys):
    assert "err.svg: figure (SVG), " in inspected(folder / "err.svg", capsys=capsys)
    assert "err.png: figure (PNG), " in inspected(folder / "err.png", capsys=capsys)


def test_files_written_from_python(tmp_path, capsys):
    """A stimulus says what it was made from, unless somebody took that away; a network of somebody else's has no
    law.
    """
    made = moving_digits.generate("test", np.random.default_rng(0), height=9, width=8, trials=2, frames=4)
    made.to_netcdf(tmp_path / "made.h5", engine="h5netcdf")
    text = inspected(tmp_path / "made.h5", capsys=capsys)
    assert ": stimulus (moving_digits), " in text.splitlines()[0]
    assert "height 9" in text
    del made.attrs["specification"]
    made.to_netcdf(tmp_path / "bare.h5", engine="h5netcdf")
    text = inspected(tmp_path / "bare.h5", capsys=capsys)
    assert ": stimulus, " in text.splitlines()[0]
    assert "not said in this file" in text
    gru = torch.nn.GRU(72, 5, batch_first=True)
    record(gru, made, tmp_path / "gru.h5", sites={"state": Site("", ("trial", "time", "unit"), (0,))})
    text = inspected(tmp_path / "gru.h5", capsys=capsys)
    assert ": recording, " in text.splitlines()[0]
    assert "none is promised" in text
    assert "state (flow, trial, time, unit): float32" in text
    assert "1 of translation, (vy, vx) (0, 0) px/frame" in text


def test_check_compares_everything(folder, tmp_path, capsys):
    assert "probe.h5, sha256 " in inspected(folder / "rec.h5", "--check", capsys=capsys)
    text = inspected(folder / "rec.h5", "--check", capsys=capsys)
    assert text.count(", unchanged") == 2
    assert "the file fits its checksums: attributes, coordinates and variables" in text
    for name in ("probe.h5", "err.h5", "a.pt", "a.ckpt"):
        assert "the file fits its checksums" in inspected(folder / name, "--check", capsys=capsys)
    with xr.open_dataset(folder / "probe.h5", engine="h5netcdf") as opened:
        opened.to_netcdf(tmp_path / "copy.h5", engine="h5netcdf")
    assert "no checksums of data in this file; all of it can be read" in inspected(
        tmp_path / "copy.h5", "--check", capsys=capsys
    )


def test_several_files_are_told_of_though_one_is_damaged(folder, tmp_path, capsys):
    damaged = bytearray((folder / "err.h5").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.h5").write_bytes(damaged)
    assert run("inspect", "--check", folder / "rec.h5", tmp_path / "damaged.h5", folder / "a.pt") == 2
    said = capsys.readouterr()
    assert said.out.count("the file fits its checksums") == 2
    assert "damaged.h5: expected a whole HDF5 file, but it cannot be read" in said.out
    assert "1 of 3 files cannot be used; see above" in said.err


def test_check_tells_the_fate_of_inputs(folder, tmp_path, capsys):
    for name in ("probe.h5", "a.pt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    run(
        "record",
        "--model",
        tmp_path / "a.pt",
        "--stimulus",
        tmp_path / "probe.h5",
        "--into",
        tmp_path / "rec.h5",
    )
    (tmp_path / "a.pt").unlink()
    (tmp_path / "probe.h5").write_bytes(b"another")
    text = inspected(tmp_path / "rec.h5", "--check", capsys=capsys)
    assert text.count(", not there now\n") == 1
    assert text.count(", changed since\n") == 1
    assert "not there" not in inspected(tmp_path / "rec.h5", capsys=capsys)


def test_check_sees_a_changed_value(folder, tmp_path, capsys):
    """One that leaves a readable file."""
    (tmp_path / "rec.h5").write_bytes((folder / "rec.h5").read_bytes())
    with h5py.File(tmp_path / "rec.h5", "r+") as h5:
        h5["state"][0, 0, 0, 0, 0, 0, 0] += 1
    for more in ((), ("--check",)):
        capsys.readouterr()
        assert run("inspect", tmp_path / "rec.h5", *more) == 2
        assert "rec.h5: expected checksums at its end, as flowsim wrote it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["probe.h5", "err.h5", "a.npz"])
def test_check_sees_a_flipped_byte(name, folder, tmp_path, capsys):
    """Where there are no checksums of data, by the codec's own; else on opening already."""
    if name == "a.npz":
        run("export", folder / "rec.h5", "--as", "numpy", "--into", folder / name)
    content = bytearray((folder / name).read_bytes())
    at = len(content) // 3
    if name != "a.npz":
        with h5py.File(folder / name) as h5:
            stored = h5["frames" if name == "probe.h5" else "error"].id
            first = stored.get_offset() or stored.get_chunk_info(0).byte_offset
        at = first + 100
    content[at] ^= 0xFF
    (tmp_path / name).write_bytes(content)
    assert run("inspect", tmp_path / name) == (0 if name == "a.npz" else 2)
    capsys.readouterr()
    assert run("inspect", tmp_path / name, "--check") == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert f"{name}: " in error
    assert "cannot be read" in error or "is damaged" in error


def foreign(path, **attrs):
    with h5py.File(path, "w") as h5:
        h5.attrs.update(attrs)
        h5["a"] = np.zeros(3)


def test_other_files_are_one_line(folder, tmp_path, capsys):
    for name in ("train.h5", "rec.h5", "a.pt", "a.ckpt"):
        whole = (folder / name).read_bytes()
        (tmp_path / f"half.{name}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("frames")
    (tmp_path / "empty.h5").touch()
    foreign(tmp_path / "other.h5")
    foreign(tmp_path / "other.nwb", nwb_version="2.8.0")
    foreign(tmp_path / "rsa.h5", rsatoolbox_version="0.3")
    xr.Dataset(attrs={"stage": "recording", "format": 99}).to_netcdf(tmp_path / "later.h5", engine="h5netcdf")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save({"format": 2, "weight": torch.zeros(3)}, tmp_path / "older.pt")
    for name, message in {
        "half.train.h5": "expected a whole HDF5 file, but it cannot be read",
        "half.rec.h5": "expected a whole HDF5 file, but it cannot be read",
        "half.a.pt": "expected weights, but it cannot be read",
        "half.a.ckpt": "expected checkpoint, but it cannot be read",
        "notes.txt": "expected a stimulus, weights, .* or a page; this file is something else",
        "empty.h5": "expected a stimulus, .*; this file is empty",
        "none.h5": "expected a stimulus, .*, found no such file",
        "other.h5": "expected a stimulus, .*; this HDF5 file does not say that flowsim wrote it",
        "other.nwb": "expected an export of flowsim; this file of nwb is by somebody else",
        "rsa.h5": "expected an export of flowsim; this file of rsatoolbox is by somebody else",
        "later.h5": "expected a file of format 1; this one is of format 99",
        "other.npz": "expected arrays that flowsim exported, but they cannot be read",
        "other.pt": "expected weights of format 2; this is another file",
        "older.pt": "expected weights by flowsim; this is another file",
    }.items():
        with pytest.raises(InputError, match=message):
            describe(tmp_path / name)
        assert run("inspect", tmp_path / name) == 2
        error = capsys.readouterr().err.strip()
        assert error.startswith(f"flowsim inspect: error: {tmp_path / name}: ")
        assert len(error.splitlines()) == 1


def test_a_network_that_is_no_longer_what_it_was(folder, tmp_path):
    content = torch.load(folder / "a.pt", weights_only=True)
    specification = json.loads(content["specification"])
    specification["network"]["model"] = "gone"
    torch.save({**content, "specification": json.dumps(specification)}, tmp_path / "a.pt")
    assert "not known: the network is no longer what it was" in describe(tmp_path / "a.pt")
    network = build("gru", (8, 9), units=2)
    changed = {
        **content,
        "best": network.state_dict(),
        "last": network.state_dict(),
        "specification": json.dumps({"network": {"model": "gru", "units": 2}, "train": {}}),
    }
    torch.save(changed, tmp_path / "b.pt")
    assert "law        none is promised" in describe(tmp_path / "b.pt")


def test_velocities_in_short():
    def in_short(*each, group="translation"):
        coords = coordinates.velocity_coords("flow", Translation(), each)
        return velocities_in_words(xr.Dataset(coords=coords, attrs={"flow_group": group}), "flow")

    assert in_short((0, 0)) == "1 of translation, (vy, vx) (0, 0) px/frame"
    assert in_short((0, 1), (0.5, 1)) == "2 of translation, (vy, vx) (0, 1), (0.5, 1) px/frame"
    assert (
        in_short(*((0, v) for v in range(9)))
        == "9 of translation, (vy, vx) (0, 0), (0, 1), (0, 2), ..., (0, 8) px/frame"
    )
    assert (
        in_short(*((a, b) for a in (-1, 0, 1) for b in (1, 0, -1)))
        == "9 of translation, (vy, vx) in {-1..1}^2 px/frame"
    )
    assert velocities_in_words(xr.Dataset(), "flow") == ""
    turned = rotating_digits.generate("probe", np.random.default_rng(0), trials=1)
    assert "of rotation, (omega) " in velocities_in_words(turned, "flow")
    assert velocities_in_words(turned, "velocity") == ""


def test_specifications_and_sizes_in_short():
    spec = {"a": 1, "b": None, "c": {"d": [1, 2], "e": {}}, "f": False}
    assert brief(spec) == "a 1, c (d [1, 2], e ()), f False"
    assert brief({"a": "x" * 1000}).endswith("xxx ...")
    assert [size_of(n) for n in (0, 999, 1500, 2.5e6, 3e9, 4e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3 GB",
        "4,000 GB",
    ]


def test_help_says_what_is_read_and_written(capsys):
    with pytest.raises(SystemExit):
        main(["inspect", "--help"])
    assert "Reads any file that flowsim writes; writes none." in " ".join(capsys.readouterr().out.split())
