"""Damage files of every kind and see whether it is told: ``python -m tests.faults.corruptions``.

Each try damages a whole file at a random place: a flipped bit, a stretch of zeros, bytes exchanged, the end or a
stretch cut out. Then the file is read as stages read it. Damage is detected (one line), harmless (what is read
is what was written), silent (it is not), or ends in a traceback, a crash or a hang; the last four must not be.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

import dask
import h5py
import numpy as np
import torch
import xarray as xr

from flowsim import InputError, build, open_recording, record
from flowsim.files import netcdf
from flowsim.training import weights
from stimuli import moving_digits
from tests.faults.tally import Tally
from tests.known.weights import checkpoint, trained

ENDS = ("detected", "harmless", "silent", "traceback", "crash", "hang")
SECONDS = 30
DAMAGES = ("flip", "flip", "flip", "zeros", "swap", "cut end", "cut out")
SIZES = (1, 8, 64, 512, 4096)


def make(folder, size=9):
    """A file of every kind, by its kind."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    network = build("fernn", (size, size), max_speed=1, channels=3, decoder_layers=1)
    stimulus = moving_digits.generate("probe", rng, height=size, width=size, trials=6, frames=8)
    specified = {"specification": json.dumps({"family": "moving_digits", "split": "probe"}), "inputs": "{}"}
    files = {kind: folder / f"{kind}.h5" for kind in ("stimulus", "recording", "analysis")}
    netcdf.write(stimulus, files["stimulus"], {"stage": "stimulus", **specified})
    record(network, stimulus, files["recording"], attrs={"network": "fernn", "seed": "0"})
    error = xr.Dataset(
        {"error": (("law", "flow"), rng.random((4, 9)), {"units": "1"})}, {"law": list("abcd")}
    )
    netcdf.write(
        error, files["analysis"], {"stage": "analysis", "network": "fernn", "seed": "0", **specified}
    )
    files |= {kind: folder / f"{kind}.pt" for kind in ("weights", "checkpoint")}
    weights.save(trained(network), files["weights"], "weights")
    weights.save(checkpoint(network), files["checkpoint"], "checkpoint")
    return files


def content(path, kind):
    """A hash of all that is read from a file: names, dimensions, attributes, values."""
    digest = hashlib.sha256()
    if kind in ("weights", "checkpoint"):
        for name, value in sorted(_flat(weights.load(path, kind))):
            digest.update(f"{name} {value!r}".encode() if isinstance(value, str) else value.numpy().tobytes())
            digest.update(name.encode())
        return digest.hexdigest()
    opened = open_recording(path) if kind == "recording" else netcdf.read(path, kind)
    read = netcdf.load(opened, path)
    opened.close()
    digest.update(repr(sorted((k, str(v)) for k, v in read.attrs.items())).encode())
    for name, values in sorted(read.variables.items()):
        attrs = sorted((k, str(v)) for k, v in values.attrs.items())
        digest.update(
            repr((name, name in read.coords, values.dims, values.shape, values.dtype, attrs)).encode()
        )
        stored = values.values
        digest.update(repr(stored.tolist()).encode() if stored.dtype.kind == "O" else stored.tobytes())
    return digest.hexdigest()


def _flat(content, name=""):
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}")
    else:
        yield name, content if isinstance(content, torch.Tensor) else repr(content)


def places(path):
    """Bytes of a file by what is there: spans of coordinates, of other values, and all else."""
    if path.suffix != ".h5":
        return {"all": [(0, path.stat().st_size)]}
    spans = {"coordinates": [], "values": []}
    with h5py.File(path) as file:
        values = [name for name, stored in file.items() if name in ("frames", "state", "prediction", "error")]
        for name, stored in file.items():
            kind = "values" if name in values else "coordinates"
            if stored.chunks:
                infos = [stored.id.get_chunk_info(n) for n in range(stored.id.get_num_chunks())]
                spans[kind] += [(info.byte_offset, info.size) for info in infos]
            elif stored.id.get_offset():
                spans[kind].append((stored.id.get_offset(), stored.id.get_storage_size()))
    taken, at, between = sorted(spans["coordinates"] + spans["values"]), 0, []
    for first, size in [*taken, (path.stat().st_size, 0)]:
        between += [(at, first - at)] if first > at else []
        at = first + size
    return {"attributes and structure": between, **spans}


def damaged(whole, spans, chance):
    """The content with one damage at a place within the spans, and its name."""
    first, size = chance.choices(spans, [size for _, size in spans])[0]
    at, length, how = first + chance.randrange(size), chance.choice(SIZES), chance.choice(DAMAGES)
    changed = bytearray(whole)
    if how == "flip":
        changed[at] ^= 1 << chance.randrange(8)
    elif how == "zeros":
        length = min(length, len(whole) - at)
        changed[at : at + length] = bytes(length)
    elif how == "swap":
        other = chance.randrange(len(whole) - length) if len(whole) > length else at
        one, two = changed[at : at + length], changed[other : other + length]
        if len(one) == len(two) and abs(at - other) >= length:
            changed[at : at + length], changed[other : other + length] = two, one
    elif how == "cut end":
        del changed[at:]
    else:
        del changed[at : at + length]
    return bytes(changed), how


def outcome(path, kind, expected):
    """What reading a damaged file comes to, in this process."""
    try:
        with dask.config.set(scheduler="synchronous"):
            return "harmless" if content(path, kind) == expected else "silent"
    except InputError:
        return "detected"
    except Exception as error:
        print(f"{type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
        return "traceback"


def outcome_apart(path, kind, expected):
    """The same in a process of its own, which may crash or come to no end."""
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        os._exit(ENDS.index(outcome(path, kind, expected)))
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "hang" if os.WTERMSIG(status) == signal.SIGALRM else "crash"
    return ENDS[os.WEXITSTATUS(status)]


def tries(files, count, seed, judge=outcome):
    """Damage each file ``count`` times, in each kind of place alike.

    Yields
    ------
    (name of the try, kind of file, place, damage, function that gives the outcome)
    """
    chance = random.Random(seed)
    for kind, path in files.items():
        whole, expected, spans = path.read_bytes(), content(path, kind), places(path)
        target = path.with_name(f"damaged{path.suffix}")
        for place, where in spans.items():
            for number in range(count // len(spans)):
                changed, how = damaged(whole, where, chance)

                def judged(changed=changed, target=target, kind=kind, expected=expected):
                    target.write_bytes(changed)
                    return judge(target, kind, expected)

                yield f"seed {seed}, {kind}, {place}, try {number}", kind, place, how, judged


def main():
    """Try, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=210, help="of each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="go on where a run with this file was stopped")
    arguments = parser.parse_args()
    tally = Tally(ENDS, arguments.log)
    with tempfile.TemporaryDirectory() as folder:
        files = make(Path(folder), 12)
        for name, kind, place, how, judged in tries(files, arguments.tries, arguments.seed, outcome_apart):
            if not tally.has(name):
                tally.note(name, f"{kind}, {place}", judged(), how)
    print(tally)
    return int(tally.faults > 0)


if __name__ == "__main__":
    sys.exit(main())
