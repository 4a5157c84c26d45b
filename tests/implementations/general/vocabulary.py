"""The house's names: what an argument of a method is, told by its name and its annotation.

A method written with these names is called by every general test without a line of its own.  Each argument has a value
and two others (`World.others`), the numbers follow from the argument's name, and a row's from its place in the batch.
"""

from __future__ import annotations

import inspect
import re
import zlib
from collections import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.rows import per_row

F64 = torch.float64
BATCH = 3
CLASSES = 3
STEPS = 7  # T of a process


class Undeclared(Exception):
    """An argument that neither its name nor its annotation tells."""


@dataclass(frozen=True)
class World:
    """What a call is made in.

    rows: which of the batch's rows take part; alike: they differ in their draws alone.  shape: of a row.  others:
    arguments at another of their values than the first, by name.
    """

    rows: tuple[int, ...] = tuple(range(BATCH))
    shape: tuple[int, ...] = (2, 3, 4)
    dtype: torch.dtype = F64
    alike: bool = False
    others: Mapping[str, int] = field(default_factory=dict)

    def which(self, name: str) -> int:
        return self.others.get(name, 0)

    def numbers(self, name: str, *shape: int) -> Tensor:
        """Standard normal, the same for an argument in every world, whatever shape they are laid out in."""
        draws = Noise(zlib.crc32(f"{name}{self.which(name)}".encode()))(torch.empty(prod(shape), dtype=F64))
        return draws.view(shape).to(self.dtype)

    def per_row(self, name: str, *shape: int) -> Tensor:
        """The same with an axis of rows in front, of those that take part."""
        rows = [0] * len(self.rows) if self.alike else list(self.rows)
        return self.numbers(name, BATCH, *shape)[rows]

    def data(self, name: str) -> Tensor:
        return self.per_row(name, *self.shape)

    def between(self, name: str, low: float, high: float, *shape: int) -> Tensor:
        """One number in low..high for each row."""
        return low + (high - low) * torch.special.ndtr(self.per_row(name, *shape))

    def labels(self, name: str) -> Tensor:
        rows = [0] * len(self.rows) if self.alike else list(self.rows)
        return (torch.tensor([2, 0, 1])[rows] + self.which(name)) % CLASSES

    def steps(self, name: str, first: int = 1) -> Tensor:
        """A step in first..T for each row, the first one of them."""
        rows = [0] * len(self.rows) if self.alike else list(self.rows)
        return first + (torch.tensor([0, 4, 2])[rows] + self.which(name)) % (STEPS + 1 - first)


class Replayed(Noise):
    """A stream for each row, and in every dtype the same numbers: those of float64, rounded."""

    def _draw(self, law, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        return super()._draw(law, shape, F64).to(dtype)


class Live(nn.Module):
    """A network that mixes all entries of a row, and depends on whatever it is told, on nothing affinely.

    out: "like" x; "twice" the channels; "logits", (B, 3); "number", (B,).
    """

    def __init__(self, name: str, world: World, out: str = "like") -> None:
        super().__init__()
        self.told: list[Any] = []  # the times or levels it was asked about
        self.out, entries = out, prod(world.shape)
        ends = {"like": entries, "twice": 2 * entries, "logits": CLASSES, "number": 1}[out]

        def weights(part: str, *shape: int) -> nn.Parameter:
            plain = World(others={part: world.which(name)})
            return nn.Parameter(plain.numbers(part, *shape) * (0.5 / shape[-1] ** 0.5))

        self.inner, self.time = weights(f"{name} inner", 5, entries), weights(f"{name} time", 5)
        self.bias, self.outer = weights(f"{name} bias", 5), weights(f"{name} outer", ends, 5)
        self.label, self.second = weights(f"{name} label", CLASSES + 4, 5), weights(f"{name} second", 5)

    def forward(self, x: Tensor, t: Any = None, y: Tensor | None = None, s: Any = None) -> Tensor:
        h = x.flatten(1) @ self.inner.to(x.dtype).T + self.bias.to(x.dtype)
        if t is not None:
            self.told.append(t)
        for number, weight in ((t, 2 * self.time), (s, self.second)):
            if number is not None:
                number = torch.as_tensor(number).to(x.dtype)
                number = number.expand(len(x)) if number.ndim == 0 else number
                h = h + weight.to(x.dtype) * number.asinh().reshape(len(number), -1).sum(1, keepdim=True)
        if y is not None:
            h = h + self.label.to(x.dtype)[y]
        h = (h.tanh() + 0.1 * h.square()) @ self.outer.to(x.dtype).T
        if self.out == "number":
            return h[:, 0]
        if self.out == "twice":
            return h.view(len(x), 2 * x.shape[1], *x.shape[2:])
        return h.view(x.shape) if self.out == "like" else h


MODELS = {
    "NoiseModel": "like",
    "ScoreModel": "like",
    "DenoisingModel": "like",
    "ConditionalNoiseModel": "like",
    "ConditionalVModel": "like",
    "ScaledVModel": "like",
    "Score": "like",
    "VModel": "like",
    "KernelModel": "twice",
    "NoiseVarianceModel": "twice",
    "LogDensity": "number",
    "LogProbability": "number",
    "NoisyFunction": "number",
}
"""What a network of this type returns."""

SCALARS: dict[str, tuple[Any, Any, Any]] = {
    "C": (0.55, 0.4, 0.6),
    "D": (48, 24, 96),
    "K": (3, 2, 4),
    "L": (4, 3, 5),
    "M": (2, 0, 3),
    "N": (4, 3, 5),
    "P_mean": (-0.5, -1.0, 0.0),
    "P_std": (0.7, 0.5, 1.0),
    "S_churn": (1.5, 0.8, 1.2),
    "S_max": (1.0, 0.5, 2.0),
    "S_min": (0.3, 0.5, 0.9),
    "S_noise": (1.1, 0.9, 1.2),
    "T": (STEPS, 4, 6),
    "after": (8, 4, 12),
    "alpha": (0.05, 0.03, 0.08),
    "attention": ((1,), (0,), (0, 1)),
    "before": (4, 8, 12),
    "beta_1": (1e-3, 2e-3, 5e-3),
    "beta_T": (0.3, 0.2, 0.4),
    "beta_max": (8.0, 6.0, 10.0),
    "beta_min": (0.2, 0.3, 0.4),
    "blocks": (1, 2, 3),
    "channels": (4, 8, 12),
    "classes": (CLASSES, CLASSES + 1, CLASSES + 2),
    "clip": ((-0.3, 0.4), (-0.1, 0.2), (-0.2, 0.3)),
    "condition": (5, 6, 7),
    "dropout": (0.0, 0.3, 0.6),
    "end": (0.1, 0.2, 0.3),
    "eps": (0.02, 0.03, 0.05),
    "eta": (0.7, 0.5, 1.0),
    "features": (6, 5, 7),
    "gamma": (1.5, 1.3, 1.7),
    "gamma_0": (-5.0, -6.0, -4.0),
    "gamma_1": (3.0, 2.0, 4.0),
    "groups": (2, 1, 4),
    "head": (4, 2, 1),
    "hidden": (5, 6, 7),
    "largest": (0.8, 0.7, 0.75),
    "levels": (9, 5, 17),
    "multipliers": ((1, 2), (2, 2), (2, 1)),
    "n": ((7, 8), (1, 2), (0,)),
    "null": (CLASSES, CLASSES + 1, CLASSES + 2),
    "out": (3, 1, 2),
    "p_uncond": (0.5, 0.0, 1.0),
    "pace": (5.0, 4.0, 8.0),
    "probes": (2, 3, 4),
    "projections": (2, 3, 4),
    "r": (0.3, 0.2, 0.5),
    "rate": (0.3, 0.2, 0.4),
    "rho": (5.0, 3.0, 2.0),
    "s": (0.05, 0.02, 0.1),
    "scale": (1.5, 0.5, 2.0),
    "sigma": (0.7, 0.5, 0.9),
    "sigma_1": (1.5, 2.0, 1.2),
    "sigma_L": (0.1, 0.2, 0.05),
    "sigma_data": (0.6, 0.4, 0.8),
    "sigma_max": (2.0, 3.0, 1.5),
    "sigma_min": (0.05, 0.1, 0.02),
    "size": (2, 3, 4),
    "start": (0.9, 0.8, 0.7),
    "steps": (3, 2, 4),
    "t": (1.3, 1.1, 0.9),
    "times": ((0.9, 0.5, 0.2), (0.9, 0.4, 0.2), (0.8, 0.5, 0.1)),
    "tolerance": (1e-3, 1e-2, 1e-1),
    "uniform": (0.1, 0.2, 0.3),
    "weight": (0.01, 0.02, 0.05),
    "width": (4, 8, 12),
}
"""Numbers, options and sizes: small ones, of which none is a default that a paper took, and no step divides another."""


def ladder(world: World, name: str) -> Tensor:
    """Levels that fall by a factor."""
    first, factor, count = ((1.6, 0.5, 4), (1.4, 0.6, 4), (1.8, 0.4, 5))[world.which(name)]
    return first * factor ** torch.arange(count, dtype=F64)


def rates(world: World, name: str) -> Tensor:
    """betas whose steps are coarse and uneven, so that no two coefficients agree by accident."""
    return torch.linspace(0.01, 0.35 + 0.05 * world.which(name), STEPS, dtype=F64) ** 1.3


def on_levels(x: Tensor, levels: int = 9) -> Tensor:
    """Data on equally spaced values in [-1, 1]."""
    return ((x.tanh() + 1) / 2 * (levels - 1)).round() / (levels - 1) * 2 - 1


@dataclass(frozen=True)
class Signature:
    """The arguments of one call, as the code names and annotates them, and what its docstring says of their shapes."""

    parameters: Mapping[str, inspect.Parameter]
    doc: str
    namespace: Mapping[str, Any]
    of_a_chain: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any], doc: str = "") -> Signature:
        plain = inspect.unwrap(function)
        found = dict(inspect.signature(plain).parameters)
        found.pop("self", None)
        named = {n: p for n, p in found.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        return cls(named, f"{doc} {function.__doc__ or ''}", getattr(plain, "__globals__", {}))

    def shape_said(self, name: str) -> str:
        """What stands in brackets behind the name in the docstring: "B, ..." of "x: (B, ...)"."""
        found = re.search(rf"\b{name}(?:, \w+)*: (?:bool, |int or |a number, |a number or )*\(([^)]*)\)", self.doc)
        return found.group(1) if found else ""

    def resolved(self, name: str) -> Any:
        """The type that an annotation means, as far as the module knows its names."""
        annotation = self.parameters[name].annotation
        try:
            return eval(annotation, dict(self.namespace)) if isinstance(annotation, str) else annotation
        except (NameError, TypeError):
            return None

    @property
    def counts_steps(self) -> bool:
        """Whether t is a step of a chain, not a time or a level."""
        told = {"process", "tau", "law", "T", "N"} & self.parameters.keys()
        steps = [p for p in self.parameters.values() if "int | Tensor" in str(p.annotation)]
        return self.of_a_chain or bool(told) or bool(steps)


def text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def value(name: str, signature: Signature, world: World, make: Callable[[type, World, str], Any]) -> Any:
    """What an argument is given.  make: builds an object of one of the project's own classes."""
    parameter = signature.parameters[name]
    annotation = text(parameter.annotation).removesuffix(" | None")
    if annotation == "Noise":
        return Replayed([100 + row + 50 * world.which(name) for row in world.rows])
    if annotation in ("GaussianDiffusion", "Diffusion"):
        from implementations.dpm import GaussianDiffusion

        return GaussianDiffusion(rates(world, name))
    if name == "classifier":
        return Live(name, world, "logits")
    if annotation in MODELS:
        return Live(name, world, MODELS[annotation])
    if annotation == "nn.Module":
        return Live(name, world)
    if annotation == "Schedule":
        low, high = ((-5.0, 3.0), (-6.0, 3.0), (-5.0, 2.0))[world.which(name)]
        return lambda t: low + (high - low) * (t + 0.5 * t.square()) / 1.5
    if annotation in ("Callable[[Tensor, Time], Tensor]", "Callable[[Tensor, Tensor], Tensor]"):
        return Live(name, world)
    if annotation == "Callable[[Tensor], Tensor]":  # of one number for each row
        return lambda t: 1 + t.square() * (1 + world.which(name))
    resolved = signature.resolved(name)
    if get_origin(resolved) is abc.Callable:
        return structured(name, resolved, world)
    if get_origin(resolved) is Literal:
        members = [m for m in get_args(resolved) if m != parameter.default]
        return [parameter.default, *members, "no such choice"][world.which(name)]
    if inspect.isclass(resolved) and resolved.__module__.startswith("implementations."):
        return make(resolved, world, name)
    if annotation == "bool":
        return (not parameter.default) ^ (world.which(name) % 2 == 1)
    if name == "spacing":
        return ("linear", "quadratic", "no such choice")[world.which(name)]
    if annotation == "Level":  # signal and noise of each row
        angle = world.between(name, 0.3, 1.4).view(-1, *[1] * (len(world.shape)))
        return angle.cos().to(world.dtype), angle.sin().to(world.dtype)
    if annotation == "tuple[Tensor, Tensor]":
        return world.data(name), world.between(f"{name} variance", 0.2, 1.5, *world.shape)
    if annotation == "Time":
        if name == "s":  # a little before t
            return world.between("t", 0.2, 0.95).double() - 0.03 * (1 + world.which(name))
        return world.between(name, 0.2, 0.95).double()
    if "Tensor" in annotation:
        return tensor(name, signature, world)
    if name == "t" and annotation == "int":
        return 3 + world.which(name)
    if name in SCALARS:
        return SCALARS[name][world.which(name)]
    raise Undeclared(f"{name}: {parameter.annotation}")


def structured(name: str, kind: Any, world: World) -> Any:
    """A function that only its type tells."""
    takes, gives = get_args(kind)
    if takes == [Tensor, int]:  # a law, mean and variance of a step
        network = Live(name, world, "twice")

        def law(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
            mean, place = network(x, t).chunk(2, dim=1)
            return 0.9 * x + mean, 0.1 * (1 + t) * torch.nn.functional.softplus(place)

        return law
    if takes == [Tensor, Noise] and gives is Tensor:  # draws of a direction
        return lambda x, noise: (1 + 0.5 * world.which(name)) * noise(x)
    raise Undeclared(f"{name}: {kind}")


def tensor(name: str, signature: Signature, world: World) -> Tensor:
    said, annotation = signature.shape_said(name), text(signature.parameters[name].annotation)
    if name == "t":
        if signature.counts_steps or "int" in annotation:
            return world.steps(name)
        return world.between(name, 0.05, 0.95)
    if name == "k":
        return world.steps(name) % 3 + 1
    if name == "y" and (said.strip() == "B," or {"null", "classifier", "t"} & signature.parameters.keys()):
        return world.labels(name)
    if name in ("known", "hole"):
        return world.data(name) > 0
    if name == "sigmas":
        return ladder(world, name)
    if name == "betas":
        return rates(world, name)
    if name == "tau":
        return torch.tensor(([2, 3, 7], [1, 4, 6], [3, 6, 7])[world.which(name)])
    if name == "table":
        return torch.cat([torch.zeros(1, dtype=F64), rates(world, name)])
    if name == "output":
        return world.per_row(name, 2 * world.shape[0], *world.shape[1:])
    if name in ("gamma_0", "gamma_1"):
        return torch.tensor(SCALARS[name][world.which(name)], dtype=F64)
    if name == "gamma":
        return world.between(name, -4.0, 3.0).double()
    if name in ("gamma_middle", "gamma_next"):  # levels below gamma
        below = 0.7 if name == "gamma_middle" else 1.6
        return world.between("gamma", -4.0, 3.0).double() - below - 0.2 * world.which(name)
    if name in ("weight", "nats", "loss"):
        return world.between(name, 0.1, 0.9)
    if name == "scale":  # of guidance
        return world.between(name, 1.2, 4.8)
    if name == "eps" and annotation == "float | Tensor":
        return torch.tensor(SCALARS[name][world.which(name)], dtype=F64)
    if name == "sigma":
        return world.between(name, 0.3, 1.5)
    if name == "s":  # a second number beside t, and below it
        return world.between(name, 0.02, 0.15)
    if name.startswith("var"):
        return world.between(name, 0.2, 1.5, *world.shape)
    if name == "rate":
        return world.between(name, 0.1, 0.9, *world.shape)
    if name == "data":
        return world.numbers(name, 5, prod(world.shape)).view(5, *world.shape)
    if name == "vectors":
        return world.numbers(name, 4, SCALARS["features"][0])
    if name == "probes":
        return world.numbers(name, 2, 1, prod(world.shape)).view(2, 1, *world.shape)
    if name == "c":
        return world.per_row(name, SCALARS["condition"][0])
    if said == "N, D":
        return World(dtype=world.dtype, others=world.others).numbers(name, 9, 3)
    if said == "B, features":
        return world.per_row(name, *(world.shape if len(world.shape) == 1 else SCALARS["features"][:1]))
    x = world.data(name)
    return on_levels(x) if "levels" in signature.parameters and name in ("x", "x_0") else x


__all__ = ["BATCH", "CLASSES", "F64", "Live", "Replayed", "Signature", "Undeclared", "World", "per_row", "value"]
