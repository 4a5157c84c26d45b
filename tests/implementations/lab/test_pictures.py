"""Pictures show what they are given: pixels in their places, points where they lie, files whole."""

import numpy as np
import pytest
import torch
from PIL import Image

from implementations.lab import pictures


def near(pixel: torch.Tensor, colour) -> bool:
    return bool((pixel - torch.tensor(colour)).abs().max() < 1e-6)


def test_contact_sheet_puts_each_pixel_of_each_image_in_its_place():
    x = torch.linspace(-1, 1, 5 * 2 * 3).reshape(5, 1, 2, 3)
    sheet = pictures.contact_sheet(x, columns=3, width=120)  # scale 10, gap 5
    assert sheet.shape == (2 * 25 + 5, 3 * 35 + 5, 3)
    for k in range(5):
        top, left = 5 + k // 3 * 25, 5 + k % 3 * 35
        for i in range(2):
            for j in range(3):
                square = sheet[top + 10 * i : top + 10 * i + 10, left + 10 * j : left + 10 * j + 10]
                torch.testing.assert_close(square, ((x[k, 0, i, j] + 1) / 2).expand(10, 10, 3))
    assert near(sheet[0, 0], pictures.PAPER) and near(sheet[-10, -10], pictures.PAPER)  # the empty sixth place


def test_contact_sheet_keeps_colours_and_clips():
    x = torch.tensor([9.0, 0.5, -9.0]).reshape(1, 3, 1, 1)
    sheet = pictures.contact_sheet(x, range=(0.0, 1.0), width=8)
    assert near(sheet[sheet.shape[0] // 2, sheet.shape[1] // 2], (1.0, 0.5, 0.0))


def test_strip_has_time_across_and_the_batch_down():
    frames = [torch.full((2, 1, 1, 1), v) + torch.tensor([0.0, 0.1]).reshape(2, 1, 1, 1) for v in (0.1, 0.4, 0.7)]
    sheet = pictures.strip(frames, range=(0.0, 1.0), width=60)  # scale 10, gap 5
    middles = [[sheet[10 + 15 * i, 10 + 15 * j, 0].item() for j in range(3)] for i in range(2)]
    assert np.allclose(middles, [[0.1, 0.4, 0.7], [0.2, 0.5, 0.8]], atol=1e-6)


def test_scatter_puts_points_where_they_lie_with_up_upwards():
    image = pictures.scatter(torch.tensor([[0.5, 0.5]]), limits=(-1, 1), size=100)
    dark = (1 - image.mean(2)).argmax().item()
    assert abs(dark // 100 - 25) <= 1 and abs(dark % 100 - 75) <= 1
    assert near(image[-1, 0], pictures.PAPER) and image.min() >= 0 and image.max() <= 1


def test_scatter_colours_by_label_and_shows_the_lone_point_beside_the_crowd():
    x = torch.cat(
        [torch.randn(5000, 2, generator=torch.Generator().manual_seed(0)) * 0.05, torch.tensor([[0.81, 0.81]])]
    )
    image = pictures.scatter(x, limits=(-1, 1), size=100, labels=torch.tensor([0] * 5000 + [3]))
    lone, crowd = image[9, 90], image[50, 50]
    assert lone[0] > lone[2] and crowd[2] > crowd[0]  # crimson, dark blue
    assert (torch.tensor(pictures.PAPER) - lone).max() > 0.3


def test_curves_rise_where_values_rise_and_break_where_there_are_none():
    image = pictures.curves({"up": ([0, 1, 2, 3], [1.0, 2.0, float("nan"), 4.0])}, across="x", up="y")
    blue = (image - torch.tensor(pictures.COLOURS[0])).abs().amax(2) < 0.08
    rows, columns = blue[40:].nonzero(as_tuple=True)
    left = rows[columns < 200].float().mean()
    right = rows[columns > 500].float().mean()
    assert right < left  # higher up
    assert not blue[40:, 330:420].any()  # from 1 on to 3 there is no line


@pytest.mark.parametrize("low, high, log, expected", [
    (0.0, 10.0, False, ["0", "2", "4", "6", "8", "10"]),
    (-1.1, 1.1, False, ["-1", "-0.5", "0", "0.5", "1"]),
    (-3.0, 0.1, True, ["0.001", "0.01", "0.1", "1"]),
    (0.0, 0.5, True, ["1", "1.5", "2", "3"]),
])  # fmt: skip
def test_ticks_are_round(low, high, log, expected):
    assert [label for _, label in pictures._ticks(low, high, log)] == expected


def test_beside_shows_every_panel_under_its_title():
    sheet = pictures.beside({"a": torch.zeros(40, 50), "b": torch.ones(30, 60, 3) * torch.tensor([1.0, 0.0, 0.0])})
    assert sheet.ndim == 3 and near(sheet[50, 40], (0.0, 0.0, 0.0)) and near(sheet[40, 110], (1.0, 0.0, 0.0))
    assert (sheet[:30] < 0.5).any()  # letters


def test_saved_pictures_read_back_pixel_by_pixel(tmp_path):
    image = torch.linspace(0, 1, 3 * 4 * 3).reshape(3, 4, 3)
    for name in ("a.png", "a.webp"):
        pictures.save(tmp_path / name, image)
        read = np.asarray(Image.open(tmp_path / name).convert("RGB"))
        assert np.array_equal(read, (image * 255).round().numpy().astype(np.uint8))


def test_bad_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"saved as \.png or \.webp"):
        pictures.save(tmp_path / "a.gif", torch.zeros(2, 2))
    with pytest.raises(ValueError, match="not finite"):
        pictures.save(tmp_path / "a.png", torch.full((2, 2), float("nan")))
    with pytest.raises(ValueError, match="not \\(3, 2\\)"):
        pictures.contact_sheet(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="points \\(N, 2\\)"):
        pictures.scatter(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="no finite value"):
        pictures.curves({"a": ([0], [float("nan")])}, across="x", up="y")
