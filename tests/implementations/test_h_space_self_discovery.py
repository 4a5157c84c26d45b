"""Self-discovery on linear networks, whose features and vectors are known; its optimiser in numpy; what it refuses."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from implementations import cfg, ddim
from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.common.waist import Waist
from implementations.demos import h_space_self_discovery as demo
from implementations.h_space_self_discovery import discover, evenly, loss, steered
from tests.implementations.toys import F64, Given, draw, rough

PROCESS = rough(9)
ABAR = np.cumprod(1 - PROCESS.beta.numpy())
SHAPE = (2, 1, 2)
C = draw(*SHAPE, seed=7)


class Linear(nn.Module):
    """A network whose noise is h B, of features h = x A + prompt, (B, 2, 1, 2): what a vector does to it is c B."""

    def __init__(self):
        super().__init__()
        self.A, self.B = nn.Parameter(0.4 * draw(3, 4, seed=1)), nn.Parameter(0.5 * draw(4, 3, seed=2))
        self.prompts = nn.Parameter(0.6 * draw(4, 4, seed=3))
        self.middle = nn.ModuleList()
        self.waist = Waist(self.middle)

    def forward(self, x, t, y):
        h = (x @ self.A + self.prompts[y] + 0.1 * per_row(t, x)).view(-1, *SHAPE)
        return self.waist(h).flatten(1) @ self.B


def close(a, b, atol=1e-12):
    torch.testing.assert_close(a, torch.as_tensor(b), rtol=0, atol=atol)


X, T, Y = draw(4, 3, seed=4), torch.tensor([1, 4, 6, 9]), torch.tensor([0, 2, 1, 2])


# T1: where a vector is added


@pytest.mark.parametrize(
    ("t_from", "on"), [(1, [1, 1, 1, 1]), (4, [0, 1, 1, 1]), (5, [0, 0, 1, 1]), (10, [0, 0, 0, 0])]
)
def test_a_vector_is_added_to_the_features_of_every_row_from_its_time_on(t_from, on):
    model = Linear()
    moved = steered(model, model.waist, C, t_from=t_from)(X, T, Y) - model(X, T, Y)
    close(moved.detach(), torch.tensor(on, dtype=F64)[:, None] * (C.flatten() @ model.B).detach())


def test_by_default_at_all_times():
    model = Linear()
    close(steered(model, model.waist, C)(X, T, Y).detach(), (model(X, T, Y) + C.flatten() @ model.B).detach())


def test_the_empty_prompt_goes_without():
    model = Linear()
    for t_from, on in ((1, [1, 0, 1, 0]), (5, [0, 0, 1, 0])):
        moved = steered(model, model.waist, C, null=2, t_from=t_from)(X, T, Y) - model(X, T, Y)
        close(moved.detach(), torch.tensor(on, dtype=F64)[:, None] * (C.flatten() @ model.B).detach())


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("rows", [1, 4])
def test_guidance_goes_from_the_empty_prompt_without_the_vector_to_the_prompt_with_it(scale, rows):
    """At scale 0 the vector is nowhere, at 1 it is the conditional model's."""
    model, c = Linear(), C if rows == 1 else draw(4, *SHAPE, seed=8)
    y = torch.tensor([0, 1, 2, 0])
    guided = cfg.guided(steered(model, model.waist, c, null=3), y, scale, null=3)(X, T)
    of_c = model(X, T, y) + c.reshape(-1, 4) @ model.B
    of_null = model(X, T, torch.full((4,), 3))
    close(guided.detach(), (scale * of_c + (1 - scale) * of_null).detach())


def test_each_row_may_have_a_vector_of_its_own_and_vectors_add_up():
    model, several = Linear(), draw(2, *SHAPE, seed=8)
    moved = steered(model, model.waist, several)(X, T, Y) - model(X, T, Y)
    close(moved.detach(), (several.flatten(1).repeat(2, 1) @ model.B).detach())
    once, twice = steered(model, model.waist, several[0]), steered(model, model.waist, several[0] + several[1])
    close(steered(once, model.waist, several[1])(X, T, Y).detach(), twice(X, T, Y).detach())


def test_images_are_sampled_with_it_and_the_network_is_as_before():
    model, y = Linear(), torch.tensor([0, 1, 2, 0])
    with_c = steered(model, model.waist, C)
    tau = torch.tensor([4])
    moved = ddim.sample(lambda x, t: with_c(x, t, y), PROCESS, X, tau) - ddim.sample(
        lambda x, t: model(x, t, y), PROCESS, X, tau
    )
    expected = -np.sqrt(1 / ABAR[4] - 1) * (C.flatten() @ model.B).detach().numpy()
    close(moved, np.broadcast_to(expected, (4, 3)).copy())


# T1 and T5: the loss, and the vector


class Drawn(Given):
    """The noise that is given, and the times; and what was asked of them."""

    def __init__(self, eps, t):
        super().__init__(lambda like: eps)
        self.t, self.asked = t, []

    def integers(self, low, high, like):
        self.asked.append((low, high, len(like)))
        return self.t


@pytest.mark.parametrize("weighting", ["simple", "velocity"])
@pytest.mark.parametrize("t_from", [1, 4])
def test_the_loss_is_the_squared_error_of_the_noise_with_the_vector(weighting, t_from):
    model, eps = Linear(), draw(4, 3, seed=5)
    noise = Drawn(eps, torch.tensor([4, 5, 7, 9]))
    value = loss(model, model.waist, PROCESS, X, Y, C, t_from=t_from, weighting=weighting, noise=noise)
    abar = torch.from_numpy(ABAR)[noise.t][:, None]
    guess = model(abar.sqrt() * X + (1 - abar).sqrt() * eps, noise.t, Y) + C.flatten() @ model.B
    expected = (eps - guess).square() / (abar if weighting == "velocity" else 1)
    close(value.detach(), expected.mean().detach())
    assert noise.asked == [(t_from, 9, 4)]
    if weighting == "simple" and t_from == 1:
        noise = Drawn(eps, noise.t)
        close(loss(model, model.waist, PROCESS, X, Y, C, noise=noise).detach(), value.detach())
        assert noise.asked == [(1, 9, 4)]


@pytest.mark.parametrize(
    ("options", "t_from", "weighting"),
    [({}, 1, "simple"), ({"t_from": 5, "weighting": "velocity"}, 5, "velocity"), ({"t_from": 3}, 3, "simple")],
)
def test_the_vector_is_that_of_an_adam_written_out(options, t_from, weighting):
    """From zero, one draw of rows, times and noise after another, with the gradient of the linear network by hand."""
    model, x_0, y, noise = Linear(), draw(11, 3, seed=9), torch.arange(11) % 4, Noise(3)
    A, B, prompts = (p.detach().numpy() for p in (model.A, model.B, model.prompts))
    c, m, v = np.zeros(4), 0.0, 0.0
    for n in range(1, 7):
        rows = noise.integers(0, 10, torch.empty(5, 3)).numpy()
        t = noise.integers(t_from, 9, torch.empty(5, 3)).numpy()
        eps = noise(torch.empty(5, 3, dtype=F64)).numpy()
        abar = ABAR[t][:, None]
        x_t = np.sqrt(abar) * x_0.numpy()[rows] + np.sqrt(1 - abar) * eps
        off = (x_t @ A + prompts[y.numpy()[rows]] + 0.1 * t[:, None] + c) @ B - eps
        gradient = (2 / off.size * off / (abar if weighting == "velocity" else 1) @ B.T).sum(0)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        c = c - 0.03 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
    learned = discover(model, model.waist, PROCESS, x_0, y, steps=6, batch_size=5, lr=0.03, noise=Noise(3), **options)
    close(learned, c.reshape(SHAPE), atol=1e-9)


def test_the_authors_settings_are_the_defaults():
    """One step of Adam from zero is as long as its rate; eight rows, all times, and 20 epochs of 1000 images."""
    model, noise = Linear(), Noise(0)
    asked = []

    class Seen(Noise):
        def integers(self, low, high, like):
            asked.append((low, high, len(like)))
            return noise.integers(low, high, like)

    x_0, y = draw(5, 3, seed=9), torch.zeros(5, dtype=torch.long)
    one = discover(model, model.waist, PROCESS, x_0, y, steps=1, noise=Seen(1))
    close(one.abs(), torch.full(SHAPE, 0.1, dtype=F64), atol=1e-6)
    assert asked == [(0, 4, 8), (1, 9, 8)]
    assert inspect.signature(discover).parameters["steps"].default == 20 * 1000 // 8


def test_a_planted_vector_is_found_where_the_prompt_omits_it_and_nothing_where_it_says_it():
    """The exact network of a Gaussian, whose features are the mean; two concepts and the plain prompt."""
    run = demo.DEMO.run(seed=3)
    close(demo.recovered(run, 0, 2), demo.PLANTED[0], atol=0.2)
    assert demo.recovered(run, 0, 0).norm() < 0.2
    close(demo.recovered(run, 0, 1), demo.PLANTED[0] - demo.PLANTED[1], atol=0.25)


def test_the_network_is_frozen_and_nothing_is_tracked():
    model, x_0, y = Linear(), draw(6, 3, seed=9), torch.arange(6) % 4
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    learned = discover(model, model.waist, PROCESS, x_0, y, steps=3, noise=Noise(0))
    assert not learned.requires_grad and learned.shape == SHAPE and torch.is_grad_enabled()
    for name, p in model.named_parameters():
        assert p.grad is None and torch.equal(p, before[name])
    with torch.no_grad():
        assert torch.equal(learned, discover(model, model.waist, PROCESS, x_0, y, steps=3, noise=Noise(0)))
    close(model(X, T, Y).detach(), Linear()(X, T, Y).detach())


def test_a_gradient_of_the_loss_reaches_the_vector():
    model, noise = Linear(), Drawn(draw(4, 3, seed=5), T)
    c = C.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: loss(model, model.waist, PROCESS, X, Y, c, t_from=2, weighting="velocity", noise=noise), c
    )


# T7: fair generation


def test_concepts_are_drawn_evenly_one_for_each_row():
    concepts = draw(3, *SHAPE, seed=6)
    drawn = evenly(concepts, torch.empty(3000, 2), noise=Noise(0))
    assert drawn.shape == (3000, *SHAPE)
    which = (drawn[:, None] == concepts).flatten(2).all(2)
    assert which.sum(1).eq(1).all()
    counts = which.sum(0).double()
    assert ((counts - 1000).square() / 1000).sum() < 13.8  # chi squared, 2 degrees, 0.1 %
    order = which.double().argmax(1)
    again = order[1:] == order[:-1]
    assert 850 < again.sum() < 1150  # a third of neighbours are alike, but where concepts are taken in turn
    assert torch.equal(drawn[0], evenly(concepts, torch.empty(1, 2), noise=Noise(0))[0])


# T6: what is refused


@pytest.mark.parametrize("t_from", [0, -3])
def test_a_time_before_the_first_is_refused(t_from):
    model = Linear()
    with pytest.raises(ValueError, match=f"t_from is a time of the chain, at least 1, not {t_from}"):
        steered(model, model.waist, C, t_from=t_from)


@pytest.mark.parametrize("t_from", [0, 10])
def test_times_out_of_the_chain_are_refused(t_from):
    model = Linear()
    with pytest.raises(ValueError, match=rf"t_from must lie in 1\.\.9, not {t_from}"):
        loss(model, model.waist, PROCESS, X, Y, C, t_from=t_from)


def test_the_last_time_alone_is_taken():
    model = Linear()
    noise = Drawn(draw(4, 3, seed=5), torch.full((4,), 9))
    assert loss(model, model.waist, PROCESS, X, Y, C, t_from=9, noise=noise).isfinite() and noise.asked == [(9, 9, 4)]


def test_a_weighting_that_does_not_exist_is_refused():
    model = Linear()
    with pytest.raises(ValueError, match="weighting must be 'simple' or 'velocity', not 'snr'"):
        loss(model, model.waist, PROCESS, X, Y, C, weighting="snr")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 1), (2, 2, 1), (4, 1, 1, 1), (4, 2, 1, 1)])
def test_a_vector_of_another_layer_is_refused(shape):
    model = Linear()
    with pytest.raises(ValueError, match=r"c must have the features' shape \(2, 1, 2\), not"):
        steered(model, model.waist, torch.zeros(shape, dtype=F64))(X, T, Y)


@pytest.mark.parametrize("count", [3, 5, 8])
def test_vectors_that_do_not_fit_the_rows_are_refused(count):
    model = Linear()
    with pytest.raises(ValueError, match=f"{count} vectors do not fit 4 rows"):
        steered(model, model.waist, draw(count, *SHAPE))(X, T, Y)


@pytest.mark.parametrize("y", [torch.tensor(0), torch.zeros(3, dtype=torch.long), torch.zeros(4, 1, dtype=torch.long)])
def test_other_than_a_prompt_for_each_image_is_refused(y):
    model = Linear()
    with pytest.raises(ValueError, match="y must hold a prompt for each of 4 images, not"):
        discover(model, model.waist, PROCESS, X, y, steps=1)


def test_the_waist_of_another_network_is_refused():
    model = Linear()
    with pytest.raises(ValueError, match="is it the waist of its network"):
        discover(model, Linear().waist, PROCESS, X, Y, steps=1)


# T8 on other networks than the demo's


@pytest.mark.slow
@pytest.mark.parametrize("base", [1, 2])
def test_the_claims_are_not_about_one_network(base):
    run = demo.DEMO.run(seed=base)
    for claim in (demo.appears, demo.appears_too, demo.composed, demo.fair, demo.safe):
        assert claim(run, base).holds, claim(run, base)
