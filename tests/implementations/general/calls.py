"""Every public function, method and network of all method files, found by inspection, and how it is called.

What the vocabulary cannot tell stands in tests/implementations/calls/<method>.py, which a method may do without:

  ARGUMENTS   {pattern: {argument: values}}: of functions whose name fits ("loss", "Chain.*"), and of functions that
              these return; values are three of them, or a function of the `World` and of which of the three is wanted
  VARIANTS    {pattern: {variant: {argument: values}}}: a further way to call, tested like the first
  BUILT       {class: function of an object that was just made}: what an object needs before it is of use
  LEFT_OUT    {test: {name: reason}}: what a general test ("finite", "gradients", "configurations", "shapes", "draws",
              "arguments") does not ask: of "loss", or a pattern, of "loss[variant]", or of one argument, "loss(x)".
              One that is not needed, because the test would pass, fails
"""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from implementations.verification.code_hash import ROOT
from tests.implementations.general.vocabulary import SCALARS, Signature, World, text, value

PACKAGE = "implementations"
DECLARED = "tests.implementations.calls"
WITHOUT = "without"
"""The variant in which all that may be None is None."""


@dataclass(frozen=True)
class Target:
    """One way to call one function.  owner: the class of a method; built: the class that stands for an abstract one."""

    method: str
    name: str
    function: Callable[..., Any]
    owner: type | None = None
    built: type | None = None
    variant: str = ""

    def __str__(self) -> str:
        how = ", ".join(filter(None, [self.built.__name__ if self.built else "", self.variant]))
        return f"{self.method}.{self.name}{f'[{how}]' if how else ''}"

    @property
    def plain(self) -> Callable[..., Any]:
        return self.function.__init__ if inspect.isclass(self.function) else self.function

    @property
    def signature(self) -> Signature:
        said = " ".join(f"{c.__doc__ or ''}" for c in (self.owner, self.function) if inspect.isclass(c))
        signature = Signature.of(self.plain, said)
        home = self.owner or self.function
        return replace(signature, namespace=vars(sys.modules[inspect.unwrap(home).__module__]))

    @property
    def is_network(self) -> bool:
        return self.owner is not None and issubclass(self.owner, nn.Module)

    def declared(self, what: str) -> dict[str, Any]:
        return getattr(declarations(self.method), what, {})

    def given(self) -> dict[str, Any]:
        """Values declared for the arguments of this call."""
        found: dict[str, Any] = {}
        for pattern, values in self.declared("ARGUMENTS").items():
            if fnmatchcase(self.name, pattern):
                found |= values
        for pattern, variants in self.declared("VARIANTS").items():
            if fnmatchcase(self.name, pattern):
                found |= variants.get(self.variant, {})
        return found

    def left_out(self, test: str, argument: str = "") -> str:
        """The reason why a test is not asked of it, or of one of its arguments; empty if it is."""
        for name, reason in self.declared("LEFT_OUT").get(test, {}).items():
            pattern, _, rest = name.partition("(")
            named = fnmatchcase(self.name, pattern) or pattern == f"{self.name}[{self.variant}]"
            if rest.rstrip(")") == argument and named:
                return reason
        return ""


@dataclass
class Call:
    """Arguments, an object if it is a method's, and what to do with them."""

    target: Target
    world: World
    arguments: dict[str, Any]
    of: Any

    def __call__(self) -> Any:
        if inspect.isclass(self.target.function):
            return of_all_methods(self)
        if self.target.owner is None:
            return self.target.function(**self.arguments)
        return self.target.function(self.of, **self.arguments)

    def results(self) -> list[Tensor]:
        """All numbers that it returns, or what it leaves in its object if it returns none."""
        result = self()
        return tensors(held(self.of) if result is None and self.of is not None else result, self)


@cache
def methods() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (ROOT / PACKAGE).glob("*.py") if path.stem != "__init__"))


@cache
def declarations(method: str) -> ModuleType | None:
    if not (ROOT / Path(*DECLARED.split("."), f"{method}.py")).is_file():
        return None
    return importlib.import_module(f"{DECLARED}.{method}")


def _public(owner: Any, where: str) -> Iterator[tuple[str, Any]]:
    for name, member in list(vars(owner).items()):
        if not name.startswith("_") and getattr(inspect.unwrap(member), "__module__", None) == where:
            yield name, member


def _of_class(method: str, cls: type) -> Iterator[Target]:
    """A class itself and its methods, those of the project's own classes that it inherits included."""
    if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
        return
    yield Target(method, cls.__name__, cls)
    for name in dir(cls):
        member = inspect.getattr_static(cls, name)
        if isinstance(member, staticmethod):
            if not name.startswith("_") and member.__func__.__module__.startswith(f"{PACKAGE}."):
                yield Target(method, f"{cls.__name__}.{name}", member.__func__)
        elif inspect.isfunction(member) and member.__module__.startswith(f"{PACKAGE}.") and not name.startswith("_"):
            yield Target(method, f"{cls.__name__}.{name}", member, cls)


@cache
def targets() -> tuple[Target, ...]:
    """Every way in which every public function of every method is called."""
    return tuple(target for method in methods() for target in _of_method(method))


def _of_method(method: str) -> Iterator[Target]:
    module = importlib.import_module(f"{PACKAGE}.{method}")
    for name, member in _public(module, module.__name__):
        if inspect.isclass(member):
            found = list(_of_class(method, member))
        elif inspect.isfunction(member):
            found = [Target(method, name, member)]
        else:
            continue
        for target in found:
            yield from _ways(target)


def _ways(target: Target) -> Iterator[Target]:
    """One for each class that an argument of an abstract one may be, and for each variant declared.

    A class that the function refuses is left out where another one is taken.
    """
    ways = [target]
    makers = [target] if target.owner is None else [target, Target(target.method, target.owner.__name__, target.owner)]
    for kind in [maker.signature.resolved(name) for maker in makers for name in maker.signature.parameters]:
        if inspect.isclass(kind) and inspect.isabstract(kind) and kind.__module__.startswith(f"{PACKAGE}."):
            taken = [way for way in (replace(target, built=c) for c in _concrete(kind)) if not _refused(way)]
            ways = taken or ways
    for pattern, variants in target.declared("VARIANTS").items():
        if fnmatchcase(target.name, pattern):
            ways += [replace(target, variant=variant) for variant in variants]
    without = replace(ways[0], variant=WITHOUT)
    if not inspect.isclass(target.function) and optional(target.signature) and not _refused(without):
        ways.append(without)
    yield from ways


def _concrete(kind: type) -> Iterator[type]:
    for sub in kind.__subclasses__():
        if sub.__module__ == kind.__module__:
            yield from () if inspect.isabstract(sub) else (sub,)
            yield from _concrete(sub)


def _refused(target: Target) -> bool:
    try:
        prepared(target, World()).results()
    except ValueError:
        return True
    except Exception:  # noqa: BLE001 - whatever it is, the test of the call itself shows it
        return False
    return False


def prepared(target: Target, world: World) -> Call:
    """A call with values for all that it is given, made afresh, so that no two calls share state."""
    if inspect.isclass(target.function):
        return Call(target, world, {}, build(target.function, world, target))
    if target.owner is None:
        return Call(target, world, arguments(target.signature, target.given(), world, target), None)
    return _prepared(target, world, build(target.owner, replace(world, others={}), target), {})


def _prepared(target: Target, world: World, of: Any, others: Mapping[str, int]) -> Call:
    """A call of a method of an object that was built with some arguments at others of their values."""
    maker, made_with = Signature.of(type(of).__init__).parameters, World(others=others)
    for name in ("channels", "before"):
        if name in maker and issubclass(type(of), nn.Module):
            world = replace(world, shape=(SCALARS[name][made_with.which(name)], 3, 4))
    if isinstance(of, nn.Module) and {"features", "vectors"} & maker.keys():
        world = replace(world, shape=(SCALARS["features"][made_with.which("features")],))
    given = arguments(target.signature, target.given(), world, target)
    if "c" in given and "condition" in maker:
        given["c"] = world.per_row("c", SCALARS["condition"][made_with.which("condition")])
    return Call(target, world, given, of)


def of_all_methods(call: Call) -> list[Tensor]:
    """What an object's public methods and properties say, and which of its parameters learn."""
    found = []
    owner = call.target.function
    assert isinstance(owner, type), "only what is made of a class has methods"
    for way in _of_class(call.target.method, owner):
        if not inspect.isclass(way.function):
            world = replace(call.world, others={})
            part = _prepared(replace(way, built=call.target.built), world, call.of, call.world.others)
            part.of = part.of if way.owner is not None else None
            found += tensors(part(), part)
    for name in dir(call.target.function):
        if isinstance(inspect.getattr_static(call.target.function, name), property):
            found += tensors(getattr(call.of, name), call)
    if isinstance(call.of, nn.Module):
        found += [torch.tensor(float(p.requires_grad)) for p in call.of.parameters()]
    return found


def arguments(signature: Signature, given: Mapping[str, Any], world: World, target: Target) -> dict[str, Any]:
    found, left_away = {}, optional(signature) if target.variant == WITHOUT else []
    for name in signature.parameters:
        here, which = world, world.which(name)
        if name in left_away:
            if which == 0:
                found[name] = None
                continue
            here, which = replace(world, others={name: which - 1}), which - 1
        if name in given:
            declared = given[name]
            found[name] = declared(here, which) if callable(declared) else copy.deepcopy(declared[which])
        else:
            found[name] = value(name, signature, here, partial(_made, target=target))
    return found


def optional(signature: Signature) -> list[str]:
    return [name for name, p in signature.parameters.items() if text(p.annotation).endswith("None")]


def _made(kind: type, world: World, name: str, *, target: Target) -> Any:
    if inspect.isabstract(kind) and target.built is not None:
        kind = target.built
    inner = Target(target.method, kind.__name__, kind)
    others = {argument: world.which(name) for argument in inner.signature.parameters} if world.which(name) else {}
    return build(kind, replace(world, others=others), inner)


def build(kind: type, world: World, target: Target) -> Any:
    """An object of one of the project's classes; of a network all parameters are awake, so that zeros hide nothing."""
    its_own = Target(target.method, kind.__name__, kind, built=target.built)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        made = kind(**arguments(its_own.signature, its_own.given(), world, its_own))
    if isinstance(made, nn.Module):
        made = made.to(world.dtype)
        for name, parameter in made.named_parameters():
            with torch.no_grad():
                parameter += 0.3 * replace(world, others={}).numbers(name, *parameter.shape)
    ready = its_own.declared("BUILT").get(kind.__name__)
    if ready is not None:
        ready(made)
    return made


def tensors(result: Any, call: Call, depth: int = 0) -> list[Tensor]:
    """All numbers of a result, a function that was returned being called."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, int | float):
        return [torch.tensor(float(result), dtype=torch.float64)]
    if result is None or isinstance(result, str):
        return []
    if isinstance(result, nn.Module):
        return list(result.parameters())
    if isinstance(result, tuple | list | Iterator):
        return [number for part in result for number in tensors(part, call, depth)]
    if callable(result) and depth < 3:
        return tensors(result(**_applied(result, call)), call, depth + 1)
    if hasattr(result, "__dict__"):
        return [n for _, part in sorted(vars(result).items()) for n in tensors(part, call, depth + 1)]
    raise TypeError(f"what a general test makes of {type(result)} is not known")


def _applied(function: Callable[..., Any], call: Call) -> dict[str, Any]:
    """Arguments for a function that was returned, by their names."""
    signature = Signature.of(function)
    annotated = {
        name: parameter.replace(annotation="Tensor") if parameter.annotation is parameter.empty else parameter
        for name, parameter in signature.parameters.items()
    }
    signature = replace(signature, parameters=annotated, of_a_chain=call.target.signature.counts_steps)
    world, given = replace(call.world, others={}), call.target.given()
    return {
        n: given[n](world, 0) if callable(given.get(n)) else value(n, signature, world, _nothing) for n in annotated
    }


def _nothing(kind: type, world: World, name: str) -> Any:
    raise TypeError(f"{name}: {text(kind)}")


def held(thing: Any) -> list[Tensor]:
    """All tensors that an argument holds."""
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, nn.Module):
        return [*thing.parameters(), *thing.buffers()]
    if isinstance(thing, tuple | list):
        return [tensor for part in thing for tensor in held(part)]
    if hasattr(thing, "__dict__") and type(thing).__module__.startswith(f"{PACKAGE}."):
        return held([part for _, part in sorted(vars(thing).items())])
    return []


def every(wanted: Callable[[Target], bool] = lambda target: True) -> pytest.MarkDecorator:
    """The targets of a general test."""
    return pytest.mark.parametrize("target", [pytest.param(t, id=str(t)) for t in targets() if wanted(t)])


def asked(target: Target, test: str, check: Callable[[], None], argument: str = "") -> None:
    """The check itself, or, where it is left out with a reason, that it is still needed to leave it out."""
    reason = target.left_out(test, argument)
    if not reason:
        check()
        return
    try:
        check()
    except (AssertionError, RuntimeError, ValueError):
        return
    raise AssertionError(f"{target} passes, so that LEFT_OUT[{test!r}] need not name it: {reason}")
