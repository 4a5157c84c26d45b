"""The source of every draw, against torch's own generators, row by row; and the law of its integers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from implementations.common.noise import Noise, gaussian

F64 = torch.float64


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_an_int_is_one_stream_that_all_laws_share(dtype):
    """In float64 torch draws numbers of more bits, and other ones: to convert those of float32 would not do."""
    like, noise, own = torch.empty(4, 3, dtype=dtype), Noise(7), stream(7)
    for _ in range(2):
        assert torch.equal(noise(like), torch.randn(4, 3, generator=own, dtype=dtype))
        assert torch.equal(noise.uniform(like), torch.rand(4, 3, generator=own, dtype=dtype))
        u = torch.rand(4, generator=own, dtype=F64)
        assert noise.integers(-2, 7, like).tolist() == [int(10 * v // 1) - 2 for v in u.tolist()]


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 1, 2, 2)])
@pytest.mark.parametrize("seeds", [[5, 0, 9], (5, 0, 9), range(4, 7)])
def test_a_sequence_is_one_stream_for_each_row(shape, seeds):
    like, noise, own = torch.empty(shape), Noise(seeds), [stream(seed) for seed in seeds]
    for _ in range(2):
        assert torch.equal(noise(like), torch.stack([torch.randn(shape[1:], generator=g) for g in own]))
        assert torch.equal(noise.uniform(like), torch.stack([torch.rand(shape[1:], generator=g) for g in own]))
        u = [torch.rand((), generator=g, dtype=F64).item() for g in own]
        assert noise.integers(0, 99, like).tolist() == [int(100 * v) for v in u]


def test_a_row_draws_the_same_whatever_batch_it_came_in():
    like = torch.empty(8, 2)
    whole, first, last = Noise(range(8)), Noise(range(4)), Noise(range(4, 8))
    for law in ("__call__", "uniform"):
        parts = [getattr(part, law)(like[:4]) for part in (first, last)]
        assert torch.equal(getattr(whole, law)(like), torch.cat(parts))
    parts = [part.integers(1, 1000, like[:4]) for part in (first, last)]
    assert torch.equal(whole.integers(1, 1000, like), torch.cat(parts))


@pytest.mark.parametrize("noise", [gaussian, Noise(), Noise(None)])
def test_without_a_seed_the_global_generator_draws(noise):
    like = torch.empty(5, 2)
    torch.manual_seed(11)
    found = noise(like), noise.uniform(like), noise.integers(0, 9, like)
    torch.manual_seed(11)
    expected = torch.randn(5, 2), torch.rand(5, 2), (10 * torch.rand(5, dtype=F64)).floor().long()
    for ours, own in zip(found, expected, strict=True):
        assert torch.equal(ours, own)


@pytest.mark.parametrize("seed", [None, 3, [3]])
def test_with_a_seed_or_none_no_other_generator_moves(seed):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    noise, like = Noise(seed), torch.empty(1, 2)
    for draw in (noise, noise.uniform, lambda like: noise.integers(0, 1, like)):
        draw(like)
    assert torch.equal(torch.random.get_rng_state(), before) == (seed is not None)


@pytest.mark.parametrize("seed", [None, 3, [3, 4]])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, F64])
def test_draws_have_the_shape_dtype_and_device_of_their_template(seed, dtype):
    """They are made on the CPU; the template lies on a device that only keeps shapes."""
    like, noise = torch.empty(2, 1, 3, dtype=dtype, device="meta"), Noise(seed)
    for drawn in (noise(like), noise.uniform(like)):
        assert (drawn.shape, drawn.dtype, drawn.device) == (like.shape, dtype, like.device)
    chosen = noise.integers(0, 3, like)
    assert (chosen.shape, chosen.dtype, chosen.device) == ((2,), torch.int64, like.device)


def test_draws_are_made_on_the_device_asked_for():
    like = torch.empty(2, 3)
    elsewhere = Noise(device="meta")
    laws = []

    def record(law, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        laws.append(Noise._draw(elsewhere, law, shape, dtype).device.type)
        return torch.zeros(shape, dtype=dtype)

    elsewhere._draw = record
    for draw in (elsewhere, elsewhere.uniform, lambda like: elsewhere.integers(0, 1, like)):
        draw(like)
    assert laws == ["meta"] * 3
    with pytest.raises(RuntimeError, match=r"(?i)meta device"):
        Noise(0, device="meta")  # its generators would be there too, and this device has none


def test_the_template_is_not_read_and_stays():
    like = torch.tensor([[float("nan"), 2.0]])
    kept = like.clone()
    assert Noise(0)(like).isfinite().all() and Noise(0).uniform(like).isfinite().all()
    assert torch.equal(like.nan_to_num(9), kept.nan_to_num(9))


def test_integers_are_uniform_and_both_ends_are_among_them():
    n, low, high = 60_000, -1, 4
    counts = torch.bincount(Noise(0).integers(low, high, torch.empty(n, 2)) - low)
    # Binomial(60000, 1/6): five standard deviations are 456
    assert len(counts) == 6 and counts.sum() == n
    assert (counts - n / 6).abs().max() < 456


def test_one_integer_alone_is_always_drawn():
    assert Noise(0).integers(5, 5, torch.empty(50, 1)).tolist() == [5] * 50


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 1000, 2**20 + 1, 2**31 + 1, 2**40 - 1])
def test_no_uniform_number_however_near_1_leads_beyond_the_end(count):
    """The ends of torch's float64 uniform numbers, which are multiples of 2^-53.

    In float32 the greatest of them would be 1.
    """
    last = 1 - 2.0**-53
    ends = torch.tensor([0.0, last, last - 2.0**-53], dtype=F64)
    noise = Noise()
    noise._draw = lambda law, shape, dtype: ends.to(dtype)
    assert noise.integers(10, 10 + count - 1, torch.empty(3, 1)).tolist() == [10, 10 + count - 1, 10 + count - 1]


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, -1), (10, -10)])
def test_an_empty_range_is_refused(low, high):
    with pytest.raises(ValueError, match=f"low={low} must not exceed high={high}"):
        Noise(0).integers(low, high, torch.empty(2, 1))


@pytest.mark.parametrize("rows", [1, 3])
def test_seeds_that_do_not_match_the_rows_are_refused(rows):
    noise, like = Noise([1, 2]), torch.empty(rows, 2)
    for draw in (noise, noise.uniform, lambda like: noise.integers(0, 1, like)):
        with pytest.raises(ValueError, match=f"noise has 2 seeds for a batch of {rows}: give one seed per row"):
            draw(like)
    with pytest.raises(ValueError, match="noise has 1 seeds for a batch of 3"):
        Noise([1])(torch.empty(3, 2))
