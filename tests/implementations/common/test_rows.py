"""One number, or one for each row: its shape, type and place, against broadcasting written out row by row."""

from __future__ import annotations

import pytest
import torch

from implementations.common.rows import for_all, per_row

F64 = torch.float64
SHAPES = [(3,), (3, 2), (3, 2, 4), (3, 1, 5, 4)]  # rows of numbers, points, sequences, images
NUMBER, ONE, EACH = torch.tensor(0.7), torch.tensor([0.7]), torch.tensor([0.7, -2.0, 31.0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [0.7, 7, NUMBER, ONE, EACH])
def test_a_number_multiplies_all_of_its_row(shape, value):
    x = torch.randn(shape, dtype=F64)
    found = per_row(value, x)
    each = value.double().expand(3) if isinstance(value, torch.Tensor) else [value] * 3
    torch.testing.assert_close(found * x, torch.stack([v * row for v, row in zip(each, x, strict=True)]))
    assert found.shape == (3 if value is EACH else 1, *[1] * (len(shape) - 1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [0.7, 7, NUMBER, ONE, EACH])
def test_a_network_is_told_one_number_for_each_row(shape, value):
    found = for_all(value, torch.zeros(shape))
    assert found.shape == (3,)
    assert found.tolist() == (EACH.tolist() if value is EACH else [pytest.approx(float(value))] * 3)


@pytest.mark.parametrize("shape", [(0, 2), (1, 2), (5, 2)])
def test_a_batch_may_have_any_size(shape):
    x = torch.zeros(shape)
    for value in (4, torch.tensor(4), torch.full((shape[0],), 4)):
        assert for_all(value, x).tolist() == [4] * shape[0]
        assert torch.equal((x + per_row(value, x)), torch.full(shape, 4.0))


@pytest.mark.parametrize("function", [for_all, per_row])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, F64])
@pytest.mark.parametrize("value", [0.1, torch.tensor(0.1, dtype=F64), torch.tensor([0.1] * 3, dtype=F64)])
def test_a_real_number_takes_the_type_of_the_rows_with_all_its_digits(function, dtype, value):
    """0.1 by way of float32 is off by 1.5e-9 in float64."""
    found = function(value, torch.zeros(3, 2, dtype=dtype))
    assert found.dtype == dtype
    assert found.flatten().tolist() == [torch.tensor(0.1, dtype=F64).to(dtype).item()] * len(found)


@pytest.mark.parametrize("value", [999, 2**24 + 1, torch.tensor(2**24 + 1), torch.tensor([1, 2**24 + 1, 3])])
def test_integers_stay_integers_for_a_network(value):
    """float32 has no 2^24 + 1, and an embedding looks labels up by int64."""
    found = for_all(value, torch.zeros(3, 2))
    assert found.dtype == torch.int64
    assert found.tolist() == torch.as_tensor(value).expand(3).tolist()


@pytest.mark.parametrize("value", [3, torch.tensor(3), torch.tensor([3, 3, 3])])
def test_integers_become_real_where_they_multiply_rows(value):
    assert per_row(value, torch.zeros(3, 2, dtype=F64)).dtype == F64


@pytest.mark.parametrize("function", [for_all, per_row])
@pytest.mark.parametrize("value", [NUMBER.double(), ONE.double(), EACH.double()])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_gradients_flow_back_to_the_numbers(function, value, dtype):
    value = value.clone().requires_grad_()
    x = torch.ones(3, 2, dtype=dtype)
    told = function(value, x).reshape(-1, 1)
    (slope,) = torch.autograd.grad((torch.tensor([[1.0], [10.0], [100.0]]) * told * x).sum(), value)
    expected = [2.0, 20.0, 200.0] if value.numel() == 3 else [222.0]
    assert slope.shape == value.shape and slope.flatten().tolist() == expected


@pytest.mark.parametrize("function", [for_all, per_row])
@pytest.mark.parametrize("value", [0.5, 3, torch.tensor(0.5), torch.tensor([1, 2, 3])])
def test_numbers_go_to_where_the_rows_are(function, value):
    assert function(value, torch.zeros(3, 2, device="meta")).device.type == "meta"


def test_the_numbers_given_are_left_as_they_were():
    given = EACH.clone()
    per_row(given, torch.zeros(3, 2)).add(1)
    for_all(given, torch.zeros(3, 2)).add(1)
    assert torch.equal(given, EACH) and given.shape == (3,)


def test_numbers_of_another_batch_are_refused():
    with pytest.raises(RuntimeError, match="size"):
        for_all(torch.tensor([1, 2]), torch.zeros(3, 2))
