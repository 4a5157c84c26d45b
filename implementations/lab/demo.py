"""What a demo is made of: a run, claims that could have failed, figures, and the list that names them.

A demo, `implementations/demos/<slug>.py`, reads as a list of experiments: one function for each claim and one for each
figure, all of a `Run` alone, so that each can be asked for by itself; what several of them need (a trained network, a
set of samples) is a function too, marked `once`.  The last statement is its `DEMO`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

from torch import Tensor

from implementations.lab.data import IMAGES

if TYPE_CHECKING:
    from implementations.lab.networks import Base
    from implementations.lab.training import Trained

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """How a demo is run.

    data: a name of `lab.data`.  steps: of training.  out: the folder that keeps the state of a training, for resume to
    go on from; None keeps none.  progress: say what is being done, on stderr.  fresh: train networks again that were
    trained before.
    """

    data: str = "digits"
    device: str = "cpu"
    seed: int = 0
    steps: int = 100
    out: Path | None = None
    resume: bool = False
    progress: bool = False
    fresh: bool = False
    bases: list[Base] = field(default_factory=list, init=False, compare=False, repr=False)
    """The networks that this run trained or loaded, in the order in which it asked for them."""
    _known: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def training(self) -> dict[str, Any]:
        """The options that every training of this run has in common, for `lab.training.train`."""
        return {
            "device": self.device,
            "seed": self.seed,
            "out": self.out,
            "resume": self.resume,
            "progress": self.progress,
        }


def once(function: Callable[Concatenate[Run, P], T]) -> Callable[Concatenate[Run, P], T]:
    """The function, which answers from memory when the same run asks it the same again.  Arguments must be hashable.

    An argument that is left to its default and the same one given, by place or by name, are the same question.
    """
    parameters = inspect.signature(function)

    @wraps(function)
    def remembering(run: Run, *args: P.args, **kwargs: P.kwargs) -> T:
        asked = parameters.bind(run, *args, **kwargs)
        asked.apply_defaults()
        question = (function, asked.args[1:], tuple(sorted(asked.kwargs.items())))
        if question not in run._known:
            run._known[question] = function(run, *args, **kwargs)
        return run._known[question]

    return remembering


@dataclass(frozen=True)
class Claim:
    """A figure with a bound, and a control that must fail the same bound.

    `value` is measured on the method; `control` is the same measurement with the paper's idea taken away or broken,
    as `control_is` says.  `of` names the paper's statement (section or equation).  The name is that of the function
    which returns the claim, and whoever calls it fills it in.
    """

    statement: str
    value: float
    bound: float
    relation: Literal["<=", ">="]
    control: float
    control_is: str
    of: str
    name: str = ""

    def satisfied_by(self, figure: float) -> bool:
        """Whether a figure lies inside the bound; NaN never does."""
        return figure <= self.bound if self.relation == "<=" else figure >= self.bound

    @property
    def holds(self) -> bool:
        """The value is inside the bound and the control outside."""
        return self.satisfied_by(self.value) and not self.satisfied_by(self.control)


@dataclass(frozen=True)
class Figure:
    """One picture of a demo, with the words that replace it for who cannot see it.

    image: (H, W) or (H, W, 3), floats in [0, 1].  The name is filled in by the caller, as a claim's.
    """

    alt: str
    image: Tensor
    name: str = ""


@dataclass(frozen=True)
class Curve:
    """What was measured against what it costs, in numbers, for a page that lays the curves of several methods together.

    across, up: what both numbers are, with their units; curves of one name say the same.  lines: by the name of each,
    its numbers across and up, the former the same on every seed.  The name is filled in by the caller, as a claim's.
    """

    across: str
    up: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    name: str = ""


@dataclass(frozen=True)
class Demo:
    """The experiments of one method.

    data: the data sets it takes, its own choice first; where there is one only, nothing can be chosen.  steps: of
    training, by default.  claims, figures: functions of a run; the first figure is the one that evidence keeps.
    network: what training gave, one network or several by name, whose weights a run leaves behind.
    network_evaluations: what one sample of the figures costs, a number or a function of the run.
    curves: functions of a run, kept in evidence as numbers.
    """

    claims: tuple[Callable[[Run], Claim], ...]
    figures: tuple[Callable[[Run], Figure], ...]
    network: Callable[[Run], Trained | Mapping[str, Trained]]
    steps: int
    data: tuple[str, ...] = IMAGES
    network_evaluations: int | Callable[[Run], int] = 1
    curves: tuple[Callable[[Run], Curve], ...] = ()

    def run(self, **options: Any) -> Run:
        """A run with this demo's own data and steps where `options` do not say others; ValueError for other data."""
        run = Run(**{"data": self.data[0], "steps": self.steps} | options)
        if run.data not in self.data:
            raise ValueError(f"data must be {' or '.join(map(repr, self.data))} here, not {run.data!r}")
        if run.steps < 1:
            raise ValueError(f"steps must be at least 1, not {run.steps}")
        return run


def name_of(experiment: Callable[..., object]) -> str:
    """The name of a claim, figure or curve on the command line and in evidence: that of its function, with dashes."""
    return getattr(experiment, "__name__", str(experiment)).strip("_").replace("_", "-")
