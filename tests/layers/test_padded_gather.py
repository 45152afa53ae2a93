"""One gather moves and pads, and its index tables are held within a bound."""

import pytest
import torch
import torch.nn.functional as F

from flowsim.layers.padded_gather import IndexTables, gathered, index_table, inward, joined, outward

CPU = torch.device("cpu")
MOVES = ((0, 0), (1, -2), (-4, 7))


@pytest.mark.parametrize("side", [0, 1, 3])
def test_frames_are_moved_and_padded(side):
    state = torch.rand(2, 3, 2, 4, 5)
    images = gathered(outward(state), MOVES, side).unflatten(0, (3, 2))
    for number, (vy, vx) in enumerate(MOVES):
        moved = state[:, number].roll((vy, vx), (-2, -1))
        assert torch.equal(images[number], F.pad(moved, (side,) * 4, mode="circular"))


def test_memory_is_laid_out_and_back():
    state = torch.rand(2, 3, 4, 5, 6)
    assert torch.equal(inward(outward(state)), state)
    assert outward(state).is_contiguous()
    whole = joined(state.split([1, 2], 1))
    assert torch.equal(whole, state)
    assert whole.permute(1, 0, 3, 4, 2).is_contiguous()


def test_a_table_is_made_once():
    tables = IndexTables(10**6)
    first = tables.get((2, 4, 5), MOVES, 1, CPU)
    assert torch.equal(first, index_table((2, 4, 5), MOVES, 1))
    assert tables.get((2, 4, 5), MOVES, 1, CPU) is first
    assert tables.get((2, 4, 5), MOVES, 0, CPU) is not first
    assert len(tables) == 2
    assert tables.bytes == 8 * 3 * 2 * (6 * 7 + 4 * 5)


def test_the_least_recently_used_tables_go_first():
    one = 8 * 2 * 4 * 5
    tables = IndexTables(2 * one)
    a, b = (tables.get((2, 4, 5), (v,), 0, CPU) for v in ((0, 0), (0, 1)))
    assert tables.get((2, 4, 5), ((0, 0),), 0, CPU) is a
    tables.get((2, 4, 5), ((0, 2),), 0, CPU)
    assert (len(tables), tables.bytes) == (2, 2 * one)
    assert tables.get((2, 4, 5), ((0, 0),), 0, CPU) is a
    assert tables.get((2, 4, 5), ((0, 1),), 0, CPU) is not b


def test_one_table_is_held_however_large():
    tables = IndexTables(1)
    large = tables.get((2, 4, 5), MOVES, 1, CPU)
    assert tables.get((2, 4, 5), MOVES, 1, CPU) is large
    tables.get((1, 2, 2), MOVES, 0, CPU)
    assert len(tables) == 1
    assert tables.bytes == 8 * 3 * 4
