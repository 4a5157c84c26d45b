"""Recorded pictures in parts: nothing is cut or lost, the words are those that were drawn, and all fits its box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from implementations.lab import pictures
from kb_tools.site.pages import on_phone
from kb_tools.site.panels import HEAD, Part, parts
from kb_tools.site.pictures import in_parts, read_words

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "implementations" / "evidence"
WORDS = read_words(ROOT, [])
TINT = 3  # of 255: what rounding twice may change of a colour


def digits(count: int, size: int = 8) -> torch.Tensor:
    """Images of noise in four greys, black and white among them."""
    return torch.randint(0, 4, (count, 1, size, size), generator=torch.Generator().manual_seed(count)) / 1.5 - 1


def encoded(image: torch.Tensor) -> bytes:
    data = BytesIO()
    Image.fromarray((image.numpy() * 255).round().astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def opened(part: Part) -> np.ndarray:
    with Image.open(BytesIO(part.data)) as image:
        assert image.size == (part.width, part.height)
        return np.asarray(image.convert("RGBA")).astype(int)


def grid(images: torch.Tensor, columns: int, rows: int) -> np.ndarray:
    """What a sheet should hold: a pixel each, and one between two images, which is -1."""
    high, wide = images.shape[-2:]
    found = np.full((rows * (high + 1) - 1, columns * (wide + 1) - 1), -1)
    for n, image in enumerate(images[: rows * columns, 0]):
        top, left = n // columns * (high + 1), n % columns * (wide + 1)
        found[top : top + high, left : left + wide] = ((image.double() + 1) / 2 * 255).round().int().numpy()
    return found


def seen(part: Part) -> np.ndarray:
    """The grey of each pixel of a sheet, -1 where it is transparent."""
    pixels = opened(part)
    assert set(np.unique(pixels[..., 3])) <= {0, 255}
    return np.where(pixels[..., 3] == 255, pixels[..., 0], -1)


def test_a_sheet_has_a_pixel_for_each_of_its_images_and_nothing_between_them() -> None:
    ours, theirs = digits(12), digits(20, 6)
    panels = {
        "ours, and more": pictures.contact_sheet(ours, columns=4, width=200),
        "a title that is far wider than its panel is": pictures.contact_sheet(theirs, columns=5, width=100),
    }
    ((first, second),) = parts(encoded(pictures.beside(panels)), [list(panels)])
    assert (first.said, first.columns, first.rows) == ("ours, and more", 4, 3)
    np.testing.assert_allclose(seen(first), grid(ours, 4, 3), atol=1)
    np.testing.assert_allclose(seen(second), grid(theirs, 5, 4), atol=1)


def test_samples_and_what_they_stand_beside_are_equally_many() -> None:
    few, many, small = digits(16), digits(32), digits(64, 5)
    panels = {
        "samples": pictures.contact_sheet(few, columns=8, width=270),
        "held-out data": pictures.contact_sheet(many, columns=8, width=270),
        "of another kind": pictures.contact_sheet(small, columns=8, width=270),
    }
    ((one, other, third),) = parts(encoded(pictures.beside(panels)), [list(panels)])
    assert (one.said, other.said, third.said) == ("samples", "held-out data, the first 16 of 32", "of another kind")
    np.testing.assert_allclose(seen(other), grid(many, 8, 2), atol=1)
    assert third.rows == 8


def test_rows_are_told_apart() -> None:
    rows = [{name: pictures.contact_sheet(digits(n + 6), columns=3, width=120) for n, name in enumerate(names)}
            for names in (("a", "b"), ("c", "d"))]  # fmt: skip
    sheet = torch.cat([pictures.beside(row) for row in rows])
    found = parts(encoded(sheet), [["a", "b"], ["c", "d"]])
    assert [[part.title for part in row] for row in found] == [["a", "b"], ["c", "d"]]


def on_paper(part: Part) -> np.ndarray:
    pixels, paper = opened(part), np.round(255 * np.array(pictures.PAPER))
    opaque = pixels[..., 3:] / 255
    return opaque * pixels[..., :3] * paper / 255 + (1 - opaque) * paper


def box(inked: np.ndarray) -> tuple[slice, slice]:
    """The least box that holds all that is inked."""
    down, across = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    return slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)


def test_ink_laid_on_paper_is_what_was_drawn_in_its_scale_and_place() -> None:
    cloud = 0.1 * torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    panels = {
        "near the middle": pictures.scatter(cloud, limits=(-1, 1), size=150),
        "elsewhere": pictures.scatter(cloud + torch.tensor([0.5, -0.5]), limits=(-1, 1), size=150, colour=1),
        "lines": pictures.curves({"y": ([1, 2, 3], [1.0, 4.0, 9.0])}, across="x", up="y", size=(300, 200)),
    }
    ((near, far, lines),) = parts(encoded(pictures.beside(panels)), [list(panels)])
    assert near.height == far.height == lines.height
    assert near.width == pytest.approx(150, abs=3) and lines.width == pytest.approx(300, abs=3)
    for part, panel in zip((near, far, lines), panels.values(), strict=True):
        drawn, recorded = on_paper(part), np.round(255 * panel.numpy())
        ours, theirs = (one[box(np.abs(one - one[0, 0]).max(axis=-1) > TINT)] for one in (drawn, recorded))
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= TINT
    middles = [np.argwhere(opened(part)[..., 3] > 40).mean(axis=0) for part in (near, far)]
    assert middles[1] - middles[0] == pytest.approx([0.25 * 150, 0.25 * 150], abs=4)  # half a unit of two is a quarter


@pytest.mark.parametrize(
    ("titles", "why"),
    [
        ([["samples"]], "2 titles are drawn and 1 are named"),
        ([["samples", "data"]] * 3, "a row would be cut through"),
        ([["samples", "data"]] * 7, "not 7 rows of one height"),
        ([], "0 rows"),
    ],
)
def test_what_is_laid_out_otherwise_is_refused_and_shown_whole(titles: Any, why: str, tmp_path: Path) -> None:
    panels = {name: pictures.contact_sheet(digits(9), width=100) for name in ("samples", "data")}
    picture = encoded(pictures.beside(panels))
    with pytest.raises(ValueError, match=why):
        parts(picture, titles)
    file, problems = tmp_path / "method.webp", []
    file.write_bytes(picture)
    assert in_parts(file, titles, tmp_path / "cache", problems) == []
    assert len(problems) == 1 and "method.webp" in problems[0] and "shown whole" in problems[0]


def test_panels_that_touch_are_not_cut_through() -> None:
    whole = pictures.beside({"ab": torch.zeros(40, 90), "cd": torch.zeros(40, 90)})
    whole[35:60] = 0
    with pytest.raises(ValueError, match="cut through"):
        parts(encoded(whole), [["ab", "cd"]])


def test_no_picture_is_no_crash() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        parts(b"RIFF", [["a"]])


def test_the_second_time_it_is_read_from_the_cache_and_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    file, titles = EVIDENCE / "ddpm.webp", WORDS["ddpm"]
    first = in_parts(file, titles, tmp_path, [])
    monkeypatch.setattr("kb_tools.site.panels.parts", None)
    assert in_parts(file, titles, tmp_path, []) == first


@pytest.mark.parametrize(
    ("said", "problems", "names"),
    [
        ("a: [[b, c]]\n", 0, ["a"]),
        ("a: [[b]]\nc: [d]\ne: []\nf: [[1]]\n", 3, ["a"]),
        ("a: [\n", 1, []),
        ("- a\n", 1, []),
    ],
)
def test_words_that_cannot_be_used_are_named(said: str, problems: int, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "implementations" / "evidence" / "pictures.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(said)
    found: list[str] = []
    assert list(read_words(tmp_path, found)) == names
    assert len(found) == problems and all("pictures.yaml" in problem for problem in found)


def title_as_drawn(words: str, odd: int) -> np.ndarray:
    """The ink of a title, cut out; odd: of a panel whose middle lies between two pixels or on one."""
    width = int(np.ceil(pictures._font(15).getlength(words))) + 40
    head = 1 - pictures.beside({words: torch.ones(2, width + (width + odd) % 2)})[:HEAD].mean(dim=-1).numpy()
    return cut_out(255 * head)


def cut_out(head: np.ndarray) -> np.ndarray:
    ink = head - head[0, 0]
    return ink[box(ink > 25)]


def titles_of(name: str) -> list[list[np.ndarray]]:
    """The ink of the titles of a recorded picture, by the layout that `parts` found."""
    rows, found = WORDS[name], []
    whole = 255 - np.asarray(Image.open(EVIDENCE / f"{name}.webp").convert("RGB")).mean(axis=-1)
    for n, titles in enumerate(rows):
        head = whole[n * len(whole) // len(rows) :][:HEAD]
        inked = np.flatnonzero((head - head[0, 0] > 25).any(axis=0))
        runs = np.split(inked, np.flatnonzero(np.diff(inked) > 12) + 1)
        assert len(runs) == len(titles), (name, titles)
        found.append([cut_out(head[:, max(0, run[0] - 2) : run[-1] + 3]) for run in runs])
    return found


def unlike(drawn: np.ndarray, words: str) -> float:
    """The greatest mean difference in a window of a letter's width, of 255; of different sizes all."""
    least = 255.0
    for odd in (0, 1):
        ours = title_as_drawn(words, odd)
        if abs(ours.shape[0] - drawn.shape[0]) <= 1 and abs(ours.shape[1] - drawn.shape[1]) <= 1:
            high, wide = (min(a, b) for a, b in zip(ours.shape, drawn.shape, strict=True))
            columns = np.abs(ours[:high, :wide] - drawn[:high, :wide]).mean(axis=0)
            least = min(least, float(np.convolve(columns, np.ones(7) / 7, "valid").max()))
    return least


@pytest.mark.parametrize("name", sorted(WORDS))
def test_words_are_those_that_were_drawn(name: str) -> None:
    for drawn, words in zip(chain(*titles_of(name)), chain(*WORDS[name]), strict=True):
        assert unlike(drawn, words) < 12, words


def test_one_other_digit_would_be_seen() -> None:
    (drawn,) = [row[0] for row in titles_of("ncsnv2")]
    words = WORDS["ncsnv2"][0][0]
    assert "0.67" in words
    assert unlike(drawn, words.replace("0.67", "0.87")) > 24


def recorded() -> Sequence[str]:
    return sorted(path.stem for path in EVIDENCE.glob("*.webp") if "." not in path.stem)


def test_every_recorded_picture_is_shown_in_parts() -> None:
    assert recorded() == sorted(WORDS), "say in evidence/pictures.yaml what is written over the parts of a new picture"
    for name in recorded():
        file = EVIDENCE / f"{name}.webp"
        for row, titles in zip(parts(file.read_bytes(), WORDS[name]), WORDS[name], strict=True):
            assert [part.title for part in row] == titles
            assert all(part.width >= 8 and part.height > 20 for part in row)  # no image is narrower


@pytest.mark.parametrize(("width", "scale"), [(35, 4), (71, 2), (76, 2), (77, 4), (89, 3), (164, 1), (400, 1)])
def test_on_a_phone_two_sheets_stand_side_by_side_or_one_is_large(width: int, scale: int) -> None:
    assert on_phone(width) == scale


SHOWN = ("papers/ddpm/", "papers/edm/", "papers/adm/", "papers/ect/", "gallery/", "compare/few-steps/")
LOAD = "async () => { for (const one of document.images) { one.loading = 'eager'; await one.decode(); } }"
MEASURED = """(all) => all.map((one) => {
  const box = one.getBoundingClientRect(), figure = one.closest("figure").getBoundingClientRect();
  return { name: one.getAttribute("src"), sheet: one.parentElement.className == "sheet", width: box.width,
           height: box.height, natural: one.naturalWidth, tall: one.naturalHeight,
           blur: getComputedStyle(one).imageRendering,
           out: Math.max(figure.left - box.left, box.right - figure.right) };
})"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_parts_fit_their_box_and_pixels_are_whole(real: Any, opened: Callable, width: int) -> None:
    page, _ = opened(real, "404.html", viewport={"width": width, "height": 900})
    for address in SHOWN:
        page.goto(real.address + address)
        page.evaluate(LOAD)
        found = page.locator(".parts img").evaluate_all(MEASURED)
        assert found
        names = page.locator("main img").evaluate_all("(all) => all.map((one) => one.getAttribute('src'))")
        assert len(names) == len(set(names)), "no picture stands twice on a page"
        for one in found:
            assert one["out"] <= 0.5, (address, one)
            assert one["height"] / one["tall"] == pytest.approx(one["width"] / one["natural"], rel=0.02)
            if one["sheet"]:
                assert one["blur"] == "pixelated"
                if width > 320:
                    assert one["width"] / one["natural"] in (1, 2, 3, 4), (address, one)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        captions = page.locator(".parts figcaption p").all_inner_texts()
        assert captions and all(len(caption) > 40 for caption in captions)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_stands_out_from_the_ground_in_either_scheme(real: Any, opened: Callable, scheme: str) -> None:
    page, _ = opened(real, "papers/edm/", color_scheme=scheme)
    chart = page.locator(".drawn img").first
    chart.scroll_into_view_if_needed()
    page.evaluate(LOAD)
    pixels = np.asarray(Image.open(BytesIO(chart.screenshot())).convert("L")).astype(float)
    ground = np.median(pixels)
    assert ground > 230 if scheme == "light" else ground < 40
    assert (np.abs(pixels - ground) > 120).mean() > 0.005  # letters, axes and lines
