"""Flattened files: they need nothing of the package, and do bit for bit what it does."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from implementations import adm, cfg, ddim, ddpm, edm, iddpm, ncsnv2, score_sde, vdm
from kb_tools.site.flat import FlattenError, flatten

ROOT = Path(__file__).resolve().parents[2]
METHODS = sorted(path.stem for path in (ROOT / "implementations").glob("[a-z]*.py"))


def alone(name: str, code: str) -> ModuleType:
    """The module that the code is, where nothing called `implementations` can be imported."""

    def guarded(module: str, *args: Any, **kwargs: Any) -> Any:
        if module.split(".")[0] == "implementations":
            raise ImportError(f"{module} is not on the path")
        return builtins.__import__(module, *args, **kwargs)

    made = ModuleType(f"flat_{name}")
    made.__dict__["__builtins__"] = {**vars(builtins), "__import__": guarded}
    sys.modules[made.__name__] = made  # where dataclasses look for it
    exec(compile(code, f"{made.__name__}.py", "exec"), made.__dict__)
    return made


@pytest.fixture
def flat() -> Any:
    """flat(method): its flattened file, executed."""
    yield lambda method: alone(method, flatten(method, ROOT))
    for name in [name for name in sys.modules if name.startswith("flat_")]:
        del sys.modules[name]


def toy(x: Tensor, t: Tensor, *more: Tensor) -> Tensor:
    """A network that depends on all it is told."""
    shape = (-1, *[1] * (x.ndim - 1))
    told = sum(((k + 1) * m.to(x).view(shape) for k, m in enumerate((t, *more))), torch.zeros(()).to(x))
    return torch.sin(3 * x + 0.1 * told) * 0.5


def twice(x: Tensor, t: Tensor) -> Tensor:
    return torch.cat([toy(x, t), torch.tanh(toy(x, t))], dim=1)


def x_T(seed: int = 1) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))


def linear(m: Any) -> Any:
    return m.GaussianDiffusion(torch.linspace(1e-3, 0.2, 12, dtype=torch.float64))


def by_ddim(m: Any, noise: Any) -> Tensor:
    return m.sample(toy, linear(m), x_T(), m.timesteps(12, 5), eta=0.7, noise=noise)


def by_ddpm(m: Any, noise: Any) -> Tensor:
    return m.sample(toy, linear(m), x_T(), variance="large", noise=noise)


def by_cfg(m: Any, noise: Any) -> Tensor:
    y = torch.tensor([0, 1, 2, 1])
    model = m.guided(toy, y, 2.5, 3)
    loss = m.loss(toy, linear(m), x_T(), y, 3, noise=noise)
    return torch.cat([model(x_T(), torch.full((4,), 5)).flatten(), loss[None]])


def by_edm(m: Any, noise: Any) -> Tensor:
    D = m.Denoiser(lambda x, c: toy(x, c))
    return m.sample(D, x_T(), m.schedule(8), S_churn=10.0, S_noise=1.01, noise=noise)


def by_iddpm(m: Any, noise: Any) -> Tensor:
    process, tau = m.cosine_schedule(20), m.timesteps(20, 7)
    samples = m.sample(m.retimed(twice, tau), m.strided(process, tau), x_T(), clip=(-1, 1), noise=noise)
    return torch.cat([samples, m.hybrid_loss(twice, process, x_T(), None, noise=noise).expand(1, 3)])


def by_score_sde(m: Any, noise: Any) -> Tensor:
    samples = [m.sample(toy, sde, x_T(), 30, M=1, noise=noise) for sde in (m.VE(0.01, 5.0), m.VP(), m.SubVP())]
    return torch.cat([*samples, m.loss(toy, m.VP(), x_T(), noise=noise).expand(1, 3)])


def by_ncsnv2(m: Any, noise: Any) -> Tensor:
    return m.sample(toy, torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64), x_T(), eps=1e-3, noise=noise)


def by_vdm(m: Any, noise: Any) -> Tensor:
    return m.sample(toy, m.cosine(), x_T(), 9, noise=noise)


def by_adm(m: Any, noise: Any) -> Tensor:
    model = m.guided_model(toy, linear(m), lambda x, t: -(x - 1).square().flatten(1).sum(1), scale=1.5)
    return model(x_T(), torch.full((4,), 5))


WAYS: dict[str, tuple[Any, Callable[[Any, Any], Tensor]]] = {
    "adm": (adm, by_adm), "cfg": (cfg, by_cfg), "ddim": (ddim, by_ddim), "ddpm": (ddpm, by_ddpm), "edm": (edm, by_edm),
    "iddpm": (iddpm, by_iddpm), "ncsnv2": (ncsnv2, by_ncsnv2), "score_sde": (score_sde, by_score_sde),
    "vdm": (vdm, by_vdm),
}  # fmt: skip


@pytest.mark.parametrize("method", WAYS)
def test_a_flattened_file_samples_bit_for_bit_as_the_package_does(flat: Any, method: str) -> None:
    package, way = WAYS[method]
    made = flat(method)
    ours = way(package, package.Noise(7))
    theirs = way(made, made.Noise(7))
    assert made.Noise is not package.Noise
    assert ours.isfinite().all()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, way(package, package.Noise(8))) or method == "adm", "the draws matter"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_had_in_one_file(flat: Any, method: str) -> None:
    made, package = flat(method), import_module(f"implementations.{method}")
    own = [name for name, value in vars(package).items() if getattr(value, "__module__", "") == package.__name__]
    assert own and all(hasattr(made, name) for name in own)
    assert made.__doc__ == package.__doc__


def write(root: Path, **files: str) -> Path:
    for name, code in files.items():
        path = root / "implementations" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return root


BASE = """import os
from math import log, pi

A = 1  # one


# Said of f.
@staticmethod
def f(x, g=A):
    return g + x


def unused():
    return log(pi)


def loss(x):
    return f(x) + log(x)


print("loaded", os.sep)
"""


def test_only_what_is_reached_is_there_once_in_the_order_of_imports(tmp_path: Path) -> None:
    middle = "from implementations.base import A, loss\n\n\ndef h(x):\n    return loss(x)\n\n\nB = 3\n"
    top = '"""Top."""\n\nfrom implementations.middle import A, h\n\n\ndef own(x, f=2):\n    return h(x) + A + f\n'
    code = flatten("top", write(tmp_path, base=BASE, middle=middle, top=top))
    assert code.startswith('"""Top."""\n')
    order = ["import os", "from math import log\n", "A = 1  # one", "# Said of f.\n@staticmethod\ndef f", "def loss",
             'print("loaded", os.sep)', "def h", "def own"]  # fmt: skip
    assert [code.count(part) for part in order] == [1] * len(order)
    assert [code.index(part) for part in order] == sorted(code.index(part) for part in order)
    assert "unused" not in code and "B = 3" not in code and "pi" not in code
    assert "from implementations" not in code
    assert code.count("called") == 0


def test_two_things_of_one_name_are_told_apart_and_the_file_says_so(tmp_path: Path) -> None:
    top = "from implementations import base\n\n\ndef loss(x, f=1):\n    return base.loss(x) + f\n\n\nL = loss\n"
    code = flatten("top", write(tmp_path, base=BASE, top=top))
    assert "# base.loss is called base_loss here" in code
    assert code.count("base_loss") == 3, "where it says so, where it is defined, where it is used"
    space: dict[str, Any] = {}
    exec(code, space)
    assert space["L"](1.0) == 3.0
    assert "return base_loss(x) + f" in code


@pytest.mark.parametrize(
    ("top", "why"),
    [
        ("from implementations import base\n\ndef loss(x, base_loss):\n    return base.loss(x)\n", "a local name"),
        ("from implementations import base\n\nbase_loss = 1\n\ndef loss():\n    return base.loss\n", "no name left"),
        ("from implementations import base\n\ndef g():\n    return vars(base)\n", "a module, and used as such"),
        ("def g():\n    from implementations.base import f\n    return f\n", "an import inside a function"),
        ("from cmath import log\nfrom implementations.base import loss\n\nX = log, loss\n", "cmath.log and math.log"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_an_error(tmp_path: Path, top: str, why: str) -> None:
    with pytest.raises(FlattenError, match=why):
        flatten("top", write(tmp_path, base=BASE, top=top))
