"""The judge of the small world, against the factors that its images were drawn from."""

from math import atan2, pi

import pytest
import torch

from implementations.lab.data.shapes import HUES, MARK, Factors, border, draw, render
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


def painted(rows: slice, columns: slice, m: float = 1.0, *, hue: float = 0.0, mark: float = 1.0, ground: float = 0.0):
    """A rectangle of red, or of a hue a little towards yellow, whose mask is m."""
    edge, board = border()
    mask = torch.zeros(8, 8, dtype=torch.float64)
    mask[rows, columns] = m
    grey = (ground + mark * MARK * edge * board) * (1 - mask)
    return torch.stack([grey + c * mask for c in (1.0, 12 * hue - 1, -1.0)])[None]


BLOCK = slice(2, 6), slice(2, 6)


@pytest.mark.parametrize(
    ("image", "shows"),
    [
        (painted(*BLOCK, 6.1 / 16), True),
        (painted(*BLOCK, 5.9 / 16), False),
        (painted(*BLOCK, 6 / 16), False),
        (painted(slice(2, 6), slice(1, 7), 17.9 / 24), True),
        (painted(slice(2, 6), slice(1, 7), 18.1 / 24), False),
        (painted(slice(2, 6), slice(1, 7), 18 / 24), False),
        (painted(*BLOCK, hue=0.05), True),  # read as 0.0472
        (painted(*BLOCK, hue=0.055), False),  # read as 0.0525
        (painted(*BLOCK, mark=0.61), True),
        (painted(*BLOCK, mark=-0.61), True),
        (painted(*BLOCK, mark=0.59), False),
        # a x b pixels have the variance (a^2 + b^2 - 2) / 12: 4 for 7 x 1, against 7 / 2; 3.17 for 6 x 2, against 6 m
        (painted(slice(3, 4), slice(1, 8)), False),
        (painted(slice(1, 8), slice(3, 4)), False),
        (painted(slice(3, 5), slice(1, 7), 6.9 / 12), True),
        (painted(slice(3, 5), slice(1, 7), 6.1 / 12), False),
        (painted(slice(1, 7), slice(3, 5), 6.9 / 12), True),
        (painted(slice(1, 7), slice(3, 5), 6.1 / 12), False),
        (painted(slice(0, 4), slice(4, 8)), True),  # wherever it stands
    ],
)
def test_an_image_is_valid_up_to_the_bounds_that_are_said(image, shows):
    assert valid(image).item() is shows


def test_the_hue_of_a_saturated_colour_is_its_angle():
    for hue in (0.0, 0.02, 0.05, 0.055):
        expected = atan2(3**0.5 / 2 * 6 * hue, 1 - 3 * hue) / (2 * pi)
        assert read(painted(*BLOCK, hue=hue)).hue.item() == pytest.approx(expected, abs=1e-12)


def test_the_size_of_a_disc_is_that_of_its_soft_edge_on_the_mean_of_its_places():
    """The integral of sigmoid(3 z (1 - rho)) over the plane is pi (z^2 + pi^2 / 27) up to exponentially small terms."""
    z, line = 1.7, (torch.arange(20, dtype=torch.float64) + 0.5) / 20 - 0.5
    x, y = (v.flatten() for v in torch.meshgrid(line, line, indexing="ij"))
    discs = Factors(-0.7 + 0 * x, 0 * x, x, y, z + 0 * x, 1 + 0 * x, 1 + 0 * x)
    m = (render(discs).amax(1) - render(discs).amin(1)) / 2
    lost = pi * (z**2 + pi**2 / 27) - m.sum((1, 2)).mean().item()  # beyond the frame
    assert 0 <= lost < 0.02
    assert abs(read(render(discs)).size.mean().item() - z) < 0.0015 + lost / (2 * pi * z)


def test_grounds_are_told_apart_half_way_between_their_kinds():
    dark, bright = (classes(read(painted(*BLOCK, ground=g)))["ground"].item() for g in (-0.36, -0.34))
    assert (dark, bright) == (0, 1)


def test_what_has_no_height_no_border_or_no_colour_is_read_too():
    line = read(painted(slice(3, 4), slice(2, 6)))
    assert line.stretch.item() == pytest.approx((1.99 / 0.01) ** 0.25)
    pillar = read(painted(slice(2, 6), slice(3, 4)))
    assert pillar.stretch.item() == pytest.approx((0.01 / 1.99) ** 0.25)
    full = read(painted(slice(0, 8), slice(0, 8)))
    assert full.ground.item() == 0 and full.mark.item() == 0
    blank = read(torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    assert blank.size.item() == pytest.approx(1e-3) and blank.x.item() == blank.y.item() == 0
