"""The judge of the small world, against the factors that its images were drawn from."""

import pytest
import torch

from implementations.lab.data.shapes import HUES, Factors, draw, render
from implementations.verification.factors import SPREADS, apart, change, classes, read, valid

DRAWN = draw(3000, 11)
IMAGES = render(DRAWN)


def test_every_factor_is_read_as_it_was_drawn():
    found = read(IMAGES)
    assert torch.allclose(found.ground, DRAWN.ground, atol=1e-12) and torch.allclose(found.mark, DRAWN.mark, atol=1e-12)
    # the angle of a saturated colour 0.02 turns from red is 0.0175: atan2(6 sqrt(3) / 2 * 0.02, 1 - 3 * 0.02) / 2 pi
    assert apart(found.hue, DRAWN.hue).max() < 0.0026
    # objects are cut by the frame and seen at 8 x 8 places, so these are near and no more: over the spread of each
    for name, bound in {"x": 0.1, "y": 0.1, "size": 0.2, "stretch": 0.1}.items():
        drawn, seen = getattr(DRAWN, name), getattr(found, name)
        assert (seen - drawn).square().mean().sqrt() < bound * drawn.std(), name


def test_classes_are_read_without_one_error():
    found = classes(read(IMAGES))
    assert torch.equal(found["ground"], (DRAWN.ground > -0.35).long())
    assert torch.equal(found["mark"], (DRAWN.mark > 0).long())
    assert torch.equal(found["hue"], torch.stack([apart(DRAWN.hue, h) for h in HUES]).argmin(0))
    assert torch.equal(found["shape"], (DRAWN.stretch > 1).long() + 2 * (DRAWN.stretch < 1).long())


def test_hue_is_a_circle():
    assert apart(torch.tensor([0.98, -0.5]), torch.tensor([0.01, 0.5])).tolist() == pytest.approx([0.03, 0.0], abs=1e-6)


def test_spreads_are_the_standard_deviations_of_the_world():
    for name in ("ground", "x", "y", "size", "stretch", "mark"):
        assert getattr(SPREADS, name).item() == pytest.approx(getattr(draw(40_000), name).std().item(), rel=0.02), name


def test_images_of_the_world_are_valid_and_others_are_not():
    assert valid(IMAGES).all()
    blank = torch.zeros_like(IMAGES[:1])
    no_mark = render(DRAWN._replace(mark=0 * DRAWN.mark))
    yellow = render(DRAWN._replace(hue=torch.full_like(DRAWN.hue, 1 / 6)))
    small, large = (render(DRAWN._replace(size=torch.full_like(DRAWN.size, s))) for s in (1.0, 3.0))
    two = render(Factors(*(torch.tensor([v]).double() for v in (-0.7, 0, -3, -3, 1.2, 1, 1)))).maximum(
        render(Factors(*(torch.tensor([v]).double() for v in (-0.7, 0, 3, 3, 1.2, 1, 1))))
    )
    for images in (blank, no_mark, yellow, small, large, two):
        assert not valid(images).any()


def test_a_change_is_that_of_its_factor_alone_in_its_own_units():
    for name, by in {"ground": 0.1, "x": 0.3, "size": 0.1, "mark": -2 * DRAWN.mark}.items():
        moved = change(IMAGES, render(DRAWN._replace(**{name: getattr(DRAWN, name) + by})))
        expected = torch.as_tensor(by).double() / getattr(SPREADS, name)
        assert (getattr(moved, name) - expected).abs().median() < 0.1, name
        assert max(getattr(moved, other).abs().median() for other in Factors._fields if other != name) < 0.12, name
    turned = change(IMAGES, render(DRAWN._replace(hue=DRAWN.hue + 2 / 3)))
    assert (turned.hue + 1).abs().max() < 0.02  # two thirds of a turn forward is one third back


def test_reading_can_be_differentiated():
    x = IMAGES[:4].clone().requires_grad_()
    for factor in read(x):
        (gradient,) = torch.autograd.grad(factor.sum(), x, retain_graph=True)
        assert gradient.isfinite().all() and gradient.abs().sum() > 0
    grey = torch.zeros(1, 3, 8, 8, requires_grad=True)
    assert all(factor.isfinite().all() for factor in read(grey))
