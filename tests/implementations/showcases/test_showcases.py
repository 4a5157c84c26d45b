"""Every recipe is found and well-formed, and runs from training to pictures on images of a few pixels."""

import ast
from pathlib import Path

import pytest
import torch

from implementations.demos import recipes as demo_recipes
from implementations.lab.data import Dataset
from implementations.lab.showcase import show
from implementations.showcases import named
from implementations.verification.evidence import showcases

MINUTES = 45
"""Of training, at most, for a network that others load."""


def tiny(name: str) -> Dataset:
    """Sixty images of 8 x 8 pixels, of ten classes."""
    x = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)).mul(255).round().div(127.5).sub(1)
    y = torch.arange(60) % 10
    return Dataset(name, x, y, x.flip(0), y.flip(0), 256, (-1.0, 1.0))


@pytest.mark.parametrize("slug", named.slugs())
def test_a_recipe_is_well_formed(slug):
    showcase, about = named.find(slug)
    assert about.endswith(".")
    assert 1 <= len(showcase.pictures) <= 2
    assert set(showcase.data) <= {"mnist", "fashion-mnist", "cifar10"}
    names = [network.name for network in showcase.networks]
    assert names and len(set(names)) == len(names)
    for network in showcase.networks:
        assert network.name.startswith("showcase-")
        assert network.method in named.slugs(), "a base is trained by the showcase of its own method"
        assert slug == network.method or network in named.find(network.method)[0].networks


@pytest.mark.slow
@pytest.mark.parametrize("slug", named.slugs())
def test_a_recipe_runs_from_training_to_pictures(slug, monkeypatch, tmp_path):
    monkeypatch.setattr(demo_recipes, "load", tiny)
    showcase, _ = named.find(slug)
    entry, pictures = show(slug, showcase, showcase.run(steps=2, fresh=True))
    written = showcases.write(entry, pictures, tmp_path / "implementations" / "evidence")
    assert showcases.read(slug, tmp_path) == entry
    assert all(path.stat().st_size for path in written)
    rounds = [network.training.rounds for network in showcase.networks]
    assert [network["steps"] for network in entry["networks"]] == [2 * number for number in rounds]
    assert entry["base_minutes"] == sum(n["minutes"] for n in entry["networks"] if n["of"] != slug)


@pytest.mark.parametrize("slug", ["vdm", "named", "recipes", "../demos/ddpm", ""])
def test_what_has_no_showcase_is_refused(slug):
    with pytest.raises(ValueError, match="has no showcase"):
        named.find(slug)


def test_no_method_and_no_demo_knows_a_showcase():
    package = Path(named.__file__).parents[1]
    for path in [*package.glob("*.py"), *(package / "demos").glob("*.py")]:
        names = {
            node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
        }
        assert not [name for name in names if "showcase" in name], path
