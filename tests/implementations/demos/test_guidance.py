"""What the demos of guidance share: three classes, fidelity and spread at each scale, and sheets by class."""

from __future__ import annotations

import math

import pytest
import torch

from implementations.common.noise import Noise
from implementations.demos import guidance
from implementations.demos.guidance import Exchange
from implementations.lab.demo import Run
from implementations.verification.sample_measures import Classifier
from tests.implementations.toys import F64

CLAIMS = (guidance.fidelity_gained, guidance.diversity_lost)


def of_curves(curve, shuffled) -> Exchange:
    return Exchange(curve, shuffled, [], torch.empty(0))


def test_three_classes_lie_on_a_triangle_and_bayes_rule_errs_on_one_point_in_four():
    mixture, root = guidance.three_classes(), math.sqrt(3) / 2
    corners = torch.tensor([[0.0, 1.0], [-root, -0.5], [root, -0.5]], dtype=F64)
    torch.testing.assert_close(mixture.means, corners, rtol=0, atol=1e-12)
    torch.testing.assert_close(mixture.covs, 0.8 * torch.eye(2, dtype=F64).expand(3, 2, 2), rtol=0, atol=0)
    torch.testing.assert_close(mixture.weights, torch.full((3,), 1 / 3, dtype=F64), rtol=0, atol=1e-15)
    assert mixture.labels is not None and mixture.labels.tolist() == [0, 1, 2]
    x = mixture.sample(20000, noise=Noise(0))
    assert mixture.class_posterior(x).max(1).values.mean().item() == pytest.approx(0.75, abs=0.02)


def test_fidelity_and_spread_are_measured_per_class():
    class Judge(Classifier):
        def agreement(self, x, y):
            return ((x[:, 0] > 2).long() == y).double().mean().item()

    x = torch.tensor([[0.0], [1.0], [3.0], [3.0], [7.0], [-1.0], [1.5]])
    y = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    right, spread = guidance.fidelity_and_spread(Judge(None, accuracy=1.0, held_out=0), x, y)
    assert right == pytest.approx(5 / 7)
    assert spread == pytest.approx((1 + (0 + 4 + 4) / 3 + 2.5) / 3)


def test_an_exchange_starts_from_the_same_noise_at_each_scale_and_shuffles_the_labels_only():
    """By a sampler that does as it is told: points around the corner of their class, closer as the scale grows."""
    asked = []

    def guided(scale, y, x_T, noise):
        asked.append((scale, y, x_T, noise(x_T)))
        return guidance.three_classes().means.float()[y] + x_T / (1 + scale)

    found = guidance.exchange(Run(seed=4), guided)
    scales, labels, starts, draws = zip(*asked, strict=True)
    assert scales == guidance.SCALES * 2
    assert all(torch.equal(x_T, starts[0]) for x_T in starts) and all(torch.equal(z, draws[0]) for z in draws)
    assert not torch.equal(starts[0], draws[0]) and starts[0].shape == (450, 2)
    given, shuffled = labels[:5], labels[5:]
    assert all(torch.equal(y, found.y) for y in given) and all(torch.equal(y, shuffled[0]) for y in shuffled)
    assert found.y.bincount().tolist() == shuffled[0].bincount().tolist() == [150] * 3
    assert (found.y == shuffled[0]).float().mean() < 0.5
    assert [len(x) for x in found.samples] == [450] * 5
    right, spread = zip(*found.curve, strict=True)
    assert right[-1] > 0.95 and spread == pytest.approx([spread[0] / (1 + s) for s in guidance.SCALES], rel=1e-5)
    assert max(right for right, _ in found.shuffled) < 0.5


def test_claims_look_at_the_worst_step_between_scales():
    curve, control = [(0.3, 2.0), (0.6, 1.5), (0.7, 1.4)], [(0.3, 2.0), (0.2, 1.9), (0.9, 3.0)]
    fidelity, diversity = (claim(of_curves(curve, control), "a figure") for claim in CLAIMS)
    assert (fidelity.value, fidelity.control) == pytest.approx((0.1, -0.1))
    assert (diversity.value, diversity.control) == pytest.approx((0.1, -1.1))
    assert fidelity.holds and diversity.holds
    assert fidelity.statement.startswith("least gain in the share")
    assert diversity.statement.startswith("least loss of the mean distance")
    for claim in (fidelity, diversity):
        assert "from one scale to the next of 0, 0.5, 1, 2, 4;" in claim.statement
        assert claim.of == "a figure" and claim.control_is.endswith("labels that were shuffled among the samples")


def test_a_tradeoff_must_gain_one_sample_in_a_hundred_and_lose_a_twentieth_of_distance():
    steps = {"too little": (0.008, 0.04), "enough": (0.012, 0.06)}
    for name, (gain, loss) in steps.items():
        curve = [(0.5, 2.0), (0.5 + gain, 2.0 - loss)]
        for claim in CLAIMS:
            assert claim(of_curves(curve, curve[::-1]), "a figure").holds == (name == "enough")


def test_sheets_show_five_images_of_each_class_and_lie_in_two_rows(monkeypatch):
    """Images of one value each, their number, in columns by class; of six rows the last is left out."""
    shown, rows = [], []

    def contact_sheet(x, *, columns, width):
        shown.append((x.flatten(1)[:, 0].reshape(-1, columns).tolist(), width))
        return torch.full((1, 1), float(len(shown)))

    def beside(panels):
        rows.append({title: panel.item() for title, panel in panels.items()})
        return torch.cat(list(panels.values()), dim=1)

    monkeypatch.setattr(guidance.pictures, "contact_sheet", contact_sheet)
    monkeypatch.setattr(guidance.pictures, "beside", beside)
    numbers = torch.arange(18.0)[:, None, None, None].expand(-1, 1, 2, 2)
    sheet = guidance.class_sheets({name: numbers + 100 * k for k, name in enumerate("abcd")}, 3)
    expected = [[[100 * k + 3 * row + c for c in range(3)] for row in range(5)] for k in range(4)]
    assert [cells for cells, _ in shown] == expected and {width for _, width in shown} == {400}
    assert rows == [{"a": 1, "b": 2}, {"c": 3, "d": 4}]
    assert sheet.tolist() == [[1, 2], [3, 4]]
