"""Chunks that are written and read past the HDF5 library hold what the library reads."""

import pickle
import zlib

import h5py
import numpy as np
import pytest
import torch

from flowsim import InputError, build, open_recording, record
from flowsim.files.hdf5_chunks import ChunkReader, has_plain_chunks

SHAPE = (3, 7, 5)
CHUNKS = (1, 3, 2)
KEYS = [
    (slice(None),) * 3,
    (slice(1, 3), slice(2, 6), slice(3, 4)),
    (2, slice(None, None, 2), slice(1, None)),
    (slice(None), slice(5, 1, -2), slice(None, None, -1)),
    (0, 6, 4),
    (slice(0, 0), slice(None), slice(None)),
]


@pytest.fixture
def file(tmp_path, rng):
    """Variables of every codec, one with a chunk that was never written, and others that are not for us."""
    with h5py.File(tmp_path / "a.h5", "w") as made:
        values = rng.standard_normal(SHAPE)
        for dtype in ("f2", "f4", "f8"):
            for codec in ({}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}):
                made.create_dataset(
                    f"{dtype} {len(codec)}", data=values.astype(dtype), chunks=CHUNKS, **codec
                )
        made.create_dataset("gaps", SHAPE, "f4", chunks=CHUNKS, compression="gzip", fillvalue=np.nan)
        made["gaps"][0, :3, :2] = 1
        made.create_dataset("whole", data=values)
        made.create_dataset("whole numbers", data=values.astype(int), chunks=CHUNKS)
        made.create_dataset("summed", data=values, chunks=CHUNKS, fletcher32=True)
        made.create_dataset("lzf", data=values, chunks=CHUNKS, compression="lzf")
        made.create_dataset("scaled", data=values, chunks=CHUNKS).attrs["scale_factor"] = 2.0
        made.create_dataset("filled", data=values, chunks=CHUNKS).attrs["_FillValue"] = 0.0
    return tmp_path / "a.h5"


def test_every_slice_of_every_codec(file):
    with h5py.File(file) as made:
        names = [name for name in made if has_plain_chunks(made[name])]
        assert names == [f"f{n} {k}" for n in (2, 4, 8) for k in (0, 1, 2)] + ["gaps"]
        for name in names:
            stored = ChunkReader(file, name)
            whole = made[name][:]
            for key in KEYS:
                np.testing.assert_array_equal(stored[key], whole[key])
                assert stored[key].dtype == whole.dtype
    assert np.isnan(ChunkReader(file, "gaps")[1, 0, 0])


def test_it_can_be_sent_and_closed(file):
    stored = ChunkReader(file, "f4 2")
    before = stored[KEYS[0]]
    stored.close()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stored))[KEYS[0]], before)
    np.testing.assert_array_equal(stored[KEYS[0]], before)


def test_a_damaged_chunk_is_told(file):
    with h5py.File(file) as made:
        place = made["f8 2"].id.get_chunk_info(0).byte_offset
    content = bytearray(file.read_bytes())
    content[place + 4 : place + 12] = b"\xff" * 8
    file.write_bytes(content)
    with pytest.raises(OSError, match="a chunk of f8 2 cannot be decompressed"):
        ChunkReader(file, "f8 2")[KEYS[0]]


@pytest.mark.parametrize("codec", ["gzip", "rounded", "none"])
def test_recordings_are_opened_this_way(codec, fernn, probe, tmp_path):
    record(fernn, probe, tmp_path / "a.h5", sites=["state"], codec=codec)
    with h5py.File(tmp_path / "a.h5") as made, open_recording(tmp_path / "a.h5") as opened:
        assert opened.state.chunks is not None
        assert opened.state.dims == tuple(d for d in opened.state.dims)
        np.testing.assert_array_equal(opened.state.values, made["state"][:])
        np.testing.assert_array_equal(opened.frames[1, ::-1].values, made["frames"][:][1, ::-1])
        assert "coordinates" in opened.state.encoding or opened.state.attrs["law"] == "transport+shift"
        assert opened.state.sel(flow=1, trial=0).flow_vy.size == 1
    with pytest.raises(InputError, match="missing"):
        open_recording(tmp_path / "missing.h5")


@pytest.mark.parametrize("codec", ["gzip", "rounded", "none"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_codecs(codec, dtype, probe, tmp_path):
    """h5py reads what was written in our own chunks; rounding keeps three digits, and exact values as they
    are.
    """
    torch.manual_seed(0)
    network = build("fernn", (9, 8), max_speed=1, channels=3, decoder_layers=1).to(torch.float64)
    record(network, probe, tmp_path / "a.h5", dtype=dtype, codec=codec)
    with torch.no_grad():
        frames = torch.from_numpy(probe.frames.values[2])[:, :, None].double()
        expected = network.states(frames).numpy().astype(dtype)
    with h5py.File(tmp_path / "a.h5") as h5:
        found = h5["state"][2]
        assert (h5["state"].compression, h5["state"].shuffle) == (
            (None, False) if codec == "none" else ("gzip", True)
        )
    if codec == "rounded" and dtype != "float16":
        np.testing.assert_allclose(found, expected, rtol=2**-11, atol=1e-30)
        assert not np.array_equal(found, expected)
        bits = found[found != 0].view(f"u{found.itemsize}")
        assert not (bits & ((1 << (np.finfo(dtype).nmant - 10)) - 1)).any()
    else:
        np.testing.assert_array_equal(found, expected)
    assert open_recording(tmp_path / "a.h5", verify=True)


def test_no_more_is_decompressed_than_a_chunk_holds(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        stored = h5.create_dataset("a", (1000,), "f4", chunks=(1000,), compression="gzip")
        stored.id.write_direct_chunk((0,), zlib.compress(bytes(10**7)))
    with pytest.raises(OSError, match=r"a chunk of a cannot be decompressed \(expected 4000 bytes\)"):
        ChunkReader(tmp_path / "a.h5", "a")[(slice(None),)]
