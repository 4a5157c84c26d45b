"""What a demo returns: samples, reference, pictures, and claims that could have failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Claim:
    """A figure with a bound, and a control that must fail the same bound.

    `value` is measured on the method; `control` is the same measurement with the paper's idea taken away or broken,
    as `control_is` says.  `of` names the paper's statement (section or equation).
    """

    name: str
    statement: str
    value: float
    bound: float
    relation: Literal["<=", ">="]
    control: float
    control_is: str
    of: str

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

    image: (H, W) or (H, W, 3), floats in [0, 1].
    """

    name: str
    alt: str
    image: Tensor


@dataclass(frozen=True)
class Result:
    """Everything a demo made.  samples, reference: (B, ...), in the data's range; model: what a checkpoint keeps."""

    method: str
    data: str
    seed: int
    samples: Tensor
    reference: Tensor
    claims: list[Claim]
    figures: list[Figure]
    model: dict[str, Tensor] = field(default_factory=dict)
    network_evaluations: int = 0
    parameters: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
