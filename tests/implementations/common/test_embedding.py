"""The time embedding: its frequencies, the separation of neighbours, and the class on top."""

from math import sin

import numpy as np
import pytest
import torch
from torch.func import functional_call

from implementations.common.embedding import Condition, sinusoidal
from implementations.common.noise import Noise

F64 = torch.float64


def waves(t: np.ndarray, dim: int) -> np.ndarray:
    """The definition, in numpy: frequencies 1 to 1e-4, each the same factor below the one before."""
    angle = np.outer(t, np.geomspace(1, 1e-4, dim // 2))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def test_sines_then_cosines_at_frequencies_from_1_to_a_ten_thousandth():
    e = sinusoidal(torch.tensor([3.0], dtype=F64), 10)
    rates = torch.tensor([1.0, 0.1, 0.01, 0.001, 0.0001], dtype=F64)
    torch.testing.assert_close(e[0], torch.cat([(3 * rates).sin(), (3 * rates).cos()]), rtol=1e-13, atol=1e-13)


def test_four_numbers_are_the_fastest_and_the_slowest_pair():
    e = sinusoidal(torch.tensor([700.0], dtype=F64), 4)
    expected = [np.sin(700), np.sin(0.07), np.cos(700), np.cos(0.07)]
    assert e[0].tolist() == pytest.approx(expected, abs=1e-12)


def test_equals_that_of_diffusers():
    from diffusers.models.embeddings import get_timestep_embedding

    t = torch.arange(1, 1001)
    torch.testing.assert_close(
        sinusoidal(t, 32), get_timestep_embedding(t, 32, downscale_freq_shift=1), rtol=0, atol=1e-4
    )  # float32: an angle of 1000 is known to 6e-5


def test_in_float64_nothing_is_rounded_to_float32_on_the_way():
    t = np.array([1.0, 337.25, 1000.0])
    ours = sinusoidal(torch.from_numpy(t), 64).numpy()
    assert np.abs(ours - waves(t, 64)).max() < 1e-12


def test_neighbours_are_apart_by_the_fastest_pair():
    """|exp(i (t + 1)) - exp(i t)| = 2 sin(1/2) for every t, and the other pairs only add to it."""
    e = sinusoidal(torch.arange(0, 1001, dtype=F64), 64)
    assert (e[1:] - e[:-1]).norm(dim=1).min() >= 2 * sin(0.5) - 1e-9


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float16, torch.bfloat16])
def test_a_time_that_a_narrow_type_holds_is_the_same_time(dtype):
    """Angles in half precision would be off by half a unit at t = 1000, which bfloat16 holds exactly."""
    t = torch.tensor([1, 500, 1000])
    assert torch.equal(sinusoidal(t.to(dtype), 16), sinusoidal(t.float(), 16))


@pytest.mark.parametrize("dim", [0, 2, 3, 7])
def test_impossible_widths_are_refused(dim):
    with pytest.raises(ValueError, match="even and at least 4"):
        sinusoidal(torch.ones(1), dim)


@pytest.mark.parametrize(("frequencies", "classes"), [(64, 0), (6, 0), (6, 3)])
def test_condition_is_two_layers_on_the_waves_plus_the_row_of_the_class(frequencies, classes):
    model = (Condition(5, classes=classes, frequencies=frequencies) if frequencies != 64 else Condition(5)).double()
    t, y = torch.tensor([1.0, 20.5, 900.0], dtype=F64), torch.tensor([2, 0, 2])
    W = {name: p.detach().numpy() for name, p in model.named_parameters()}
    inner = waves(t.numpy(), frequencies) @ W["inner.weight"].T + W["inner.bias"]
    expected = inner / (1 + np.exp(-inner)) @ W["outer.weight"].T + W["outer.bias"]
    if classes:
        assert W["label.weight"].shape == (3, 5)
        expected = expected + W["label.weight"][y.numpy()]
    ours = model(t, y) if classes else model(t)
    assert np.abs(ours.detach().numpy() - expected).max() < 1e-12


def test_derivatives_reach_every_parameter_and_the_time():
    model = Condition(3, classes=2, frequencies=4).double()
    names, values = zip(*model.named_parameters(), strict=True)
    t, y = Noise(0).uniform(torch.empty(2, dtype=F64)).requires_grad_(), torch.tensor([1, 0])

    def outputs(t, *values):
        return functional_call(model, dict(zip(names, values, strict=True)), (t, y))

    assert torch.autograd.gradcheck(outputs, (t, *values))


def test_a_label_without_classes_and_classes_without_a_label_are_refused():
    t, y = torch.ones(2), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="a label was given to a network without classes"):
        Condition(4)(t, y)
    with pytest.raises(ValueError, match="y is missing"):
        Condition(4, classes=2)(t)


def test_a_second_number_adds_what_its_own_layers_make_of_it():
    torch.manual_seed(0)
    model = Condition(5, classes=3, frequencies=6, second=True).double()
    t, s, y = torch.tensor([1.0, 20.5]), torch.tensor([7.0, 0.3]), torch.tensor([2, 0])
    W = {name: p.detach().numpy() for name, p in model.named_parameters()}

    def layers(number, at):
        inner = waves(number.double().numpy(), 6) @ W[f"{at}inner.weight"].T + W[f"{at}inner.bias"]
        return inner / (1 + np.exp(-inner)) @ W[f"{at}outer.weight"].T + W[f"{at}outer.bias"]

    expected = layers(t, "") + W["label.weight"][y.numpy()] + layers(s, "second.")
    assert np.abs(model(t, y, s).detach().numpy() - expected).max() < 1e-5  # sinusoids of float32
    assert np.abs(model(t.double(), y, s.double()).detach().numpy() - expected).max() < 1e-12


def test_a_second_number_is_given_exactly_where_there_is_one():
    t = torch.ones(2)
    with pytest.raises(ValueError, match="s was given to a network of one number"):
        Condition(4)(t, None, t)
    with pytest.raises(ValueError, match="s is missing"):
        Condition(4, second=True)(t)


def test_condition_takes_double_time_and_double_weights():
    assert Condition(12).double()(torch.ones(2)).dtype == F64
    assert Condition(12)(torch.ones(2, dtype=F64)).dtype == torch.float32
