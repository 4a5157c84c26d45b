"""The small world: what it promises of its factors, and images whose pixels are worked out by hand."""

from math import exp

import pytest
import torch

from implementations.lab.data.shapes import GROUNDS, HUES, STRETCHES, Factors, border, draw, render, shapes


def one(**changed: float) -> torch.Tensor:
    """The image of one set of factors: a red disc of size 2 in the middle of a dark ground, but for what is changed."""
    plain = {"ground": -0.7, "hue": 0.0, "x": 0.0, "y": 0.0, "size": 2.0, "stretch": 1.0, "mark": 1.0}
    return render(Factors(*(torch.tensor([v], dtype=torch.float64) for v in (plain | changed).values())))[0]


def test_pixels_are_those_of_the_formula():
    image = one()
    # pixel (3, 3) lies (-0.5, -0.5) from the centre: rho = sqrt(0.5) / 2
    m = 1 / (1 + exp(-6 * (1 - 0.5**0.5 / 2)))
    assert image[:, 3, 3].tolist() == pytest.approx([-0.7 * (1 - m) + m, -0.7 * (1 - m) - m, -0.7 * (1 - m) - m])
    # pixel (0, 1) is on the border, where the board is -1, at (-2.5, -3.5): rho = sqrt(18.5) / 2
    m = 1 / (1 + exp(-6 * (1 - 18.5**0.5 / 2)))
    assert image[0, 0, 1].item() == pytest.approx(-0.9 * (1 - m) + m)
    assert image[1, 0, 1].item() == pytest.approx(-0.9 * (1 - m) - m)
    # a stretched one: half axes 3 and 4/3, so that pixel (3, 6), at (2.5, -0.5), has this rho
    rho = ((2.5 / 3) ** 2 + (0.5 * 3 / 4) ** 2) ** 0.5
    m = 1 / (1 + exp(-6 * (1 - rho)))
    assert one(stretch=1.5)[0, 3, 6].item() == pytest.approx(-0.7 * (1 - m) + m)


def test_colours_are_those_of_their_hues():
    """Of a pixel all within the object: red, yellow, green, cyan, blue, magenta, and a quarter of the way to yellow."""
    known = {0: (1, -1, -1), 1: (1, 1, -1), 2: (-1, 1, -1), 3: (-1, 1, 1), 4: (-1, -1, 1), 5: (1, -1, 1)}
    for sixth, colour in known.items():
        assert one(hue=sixth / 6, size=60.0)[:, 3, 3].tolist() == pytest.approx(colour)
    assert one(hue=1 / 24, size=60.0)[:, 3, 3].tolist() == pytest.approx((1, -0.5, -1))
    assert torch.equal(one(hue=-0.01), one(hue=0.99)) or torch.allclose(one(hue=-0.01), one(hue=0.99))


def test_moving_right_and_down_moves_the_image():
    assert torch.allclose(one(x=1.0)[:, 1:7, 2:7], one()[:, 1:7, 1:6])
    assert torch.allclose(one(y=1.0)[:, 2:7, 1:7], one()[:, 1:6, 1:7])
    assert torch.allclose(one(stretch=1.5), one(stretch=1 / 1.5).transpose(1, 2))


def test_the_border_is_one_pixel_wide_and_its_board_turns_at_each_step():
    edge, board = border()
    assert edge.sum() == 28 and edge[1:-1, 1:-1].sum() == 0
    assert board[0, :3].tolist() == [1, -1, 1] and board[:3, 0].tolist() == [1, -1, 1] and board[1, 1] == 1


def test_factors_have_the_laws_that_are_promised():
    f = draw(40_000, 3)
    dark, bright = ((f.ground >= low) & (f.ground <= low + 0.1) for low in GROUNDS)
    assert (dark ^ bright).all()
    turn = torch.stack([((f.hue - h + 0.5) % 1 - 0.5).abs() <= 0.02 + 1e-12 for h in HUES])
    assert (turn.sum(0) == 1).all()
    # shares of classes within five standard errors of equal ones
    for share, p in [(dark, 1 / 2), (turn[0], 1 / 3), (turn[1], 1 / 3), (f.stretch == STRETCHES[1], 1 / 3),
                     (f.stretch == 1, 1 / 3), (f.mark == 1, 1 / 2)]:  # fmt: skip
        assert abs(share.double().mean() - p) < 5 * (p * (1 - p) / 40_000) ** 0.5
    assert set(f.mark.tolist()) == {-1, 1} and set(f.stretch.tolist()) == set(STRETCHES)
    for value, low, high in [(f.x, -1, 1), (f.y, -1, 1), (f.size, 1.7, 2.2)]:
        assert value.min() >= low and value.max() <= high
        error = (high - low) / 12**0.5 / 200
        assert abs(value.mean() - (low + high) / 2) < 5 * error
    table = torch.stack([*f])
    off = torch.corrcoef(table) - torch.eye(7)
    assert off.abs().max() < 5 / 200  # independent: correlations within five standard errors of 0


def test_the_data_set_is_drawn_once_and_for_all_and_labelled_by_hue():
    d = shapes()
    assert (d.shape, len(d.x), len(d.x_test), d.classes, d.levels) == ((3, 8, 8), 20_000, 4_000, 3, None)
    assert d.x.dtype == torch.float32 and torch.equal(d.x, shapes().x) and not torch.equal(d.x[:9], d.x_test[:9])
    assert d.y is not None and d.x.sum((2, 3))[:500].argmax(1).equal(d.y[:500])
