"""No path of a gradient is cut: autograd's derivative is that of finite differences, for all that is learned or moved.

As the fast mode of `torch.autograd.gradcheck`, one random direction for each tensor, so that a failure names it.
Not asked of what is called without gradients: samplers, and what stands under `torch.no_grad`.
"""

import inspect
from functools import partial

import pytest
import torch
from torch import nn

from tests.implementations.general.calls import Call, asked, every, prepared, tensors
from tests.implementations.general.vocabulary import Live, World, text

STEP = 1e-5
WORLD = World(rows=(0, 1), shape=(2, 3))


def learns(target) -> bool:
    """Whether it is an objective, by its name, or a network."""
    last = target.name.split(".")[-1]
    return last in ("loss", "objective") or last.endswith(("_loss", "_objective")) or target.is_network


def samples(target) -> bool:
    returns = text(inspect.unwrap(target.plain).__annotations__.get("return", ""))
    return target.name.split(".")[-1] == "sample" or returns.startswith("Iterator")


def leaves(call: Call) -> dict[str, torch.Tensor]:
    """Parameters of networks, and numbers of rows, by name."""
    found = {}
    holders = {"self": call.of, **call.arguments} if call.of is not None else call.arguments
    for name, thing in holders.items():
        if isinstance(thing, nn.Module):
            found |= {f"{name}.{part}": p for part, p in thing.named_parameters() if p.requires_grad}
        elif isinstance(thing, torch.Tensor) and thing.is_floating_point() and thing.shape[:1] == (len(WORLD.rows),):
            found[name] = thing.requires_grad_()
    on_levels = ("x", "x_0") if call.arguments.get("levels") is not None else ()  # between which there is nothing
    return {name: leaf for name, leaf in found.items() if name not in on_levels}


def total(call: Call) -> torch.Tensor | None:
    """A fixed sum of all that a call returns; None for plain numbers, which carry no gradient by their type."""
    result = call()
    numbers = [number for number in tensors(result, call) if number.is_floating_point()]
    if isinstance(result, float | int) or not numbers:
        return None
    sums = [(n.double() * WORLD.numbers(f"weights {k}", *n.shape)).sum() for k, n in enumerate(numbers)]
    return torch.stack(sums).sum()


@every(lambda target: not inspect.isclass(target.function) and not samples(target))
def test_a_derivative_is_that_of_finite_differences(target):
    call = prepared(target, WORLD)
    found = leaves(call)
    value = total(call)
    if value is None or not found:
        return
    if not value.requires_grad and not learns(target) and hasattr(target.function, "__wrapped__"):
        return  # torch.no_grad, by its author's word
    slopes = torch.autograd.grad(value, list(found.values()), allow_unused=True) if value.requires_grad else None
    given = [torch.zeros_like(leaf) for leaf in found.values()] if slopes is None else slopes
    by_argument: dict[str, dict[str, torch.Tensor]] = {}
    for (name, leaf), slope in zip(found.items(), given, strict=True):
        slope = torch.zeros_like(leaf) if slope is None else slope
        by_argument.setdefault(name.split(".")[0], {})[name] = slope
    # What draws, or keeps what it saw, is made afresh for each look.
    same = call if target.is_network and "noise" not in call.arguments else None
    for argument, named in by_argument.items():
        asked(target, "gradients", partial(all_compare, target, named, same), argument)


def all_compare(target, slopes, same):
    for name, slope in slopes.items():
        compare(target, name, slope, same)


def compare(target, name, slope, same):
    way = WORLD.numbers(f"way {name}", *slope.shape)
    way = way / way.norm()
    ahead, behind = (moved(same or prepared(target, WORLD), name, sign * STEP * way) for sign in (1, -1))
    numeric = ((ahead - behind) / (2 * STEP)).item()
    analytic = (slope * way).sum().item()
    assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-8 * (1 + abs(ahead.item()))), f"{target}: {name}"
    unasked = name.endswith((".label", ".time", ".second"))
    own = name.startswith("self.") and target.name.endswith(".forward") and not unasked
    given = learns(target) and not target.is_network and name.endswith((".inner", ".outer"))
    if own or given:
        assert slope.abs().max() > 0, f"{target}: nothing teaches {name}"


def moved(call, name, by):
    leaf = leaves(call)[name]
    before = leaf.detach().clone()
    with torch.no_grad():
        leaf += by
    value = total(call)
    assert value is not None
    with torch.no_grad():
        leaf.copy_(before)
    return value.detach()


def test_the_networks_given_to_methods_are_no_constants():
    model, x = Live("model", WORLD), WORLD.data("x").requires_grad_()
    assert torch.autograd.gradcheck(model, (x, WORLD.between("t", 0.1, 0.9).requires_grad_()))
