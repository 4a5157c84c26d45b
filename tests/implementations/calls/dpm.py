"""Diffusion probabilistic models: the binomial chain, whose data are bits and whose network has as many channels."""

from dataclasses import replace

from implementations.dpm import BinomialDiffusion
from tests.implementations.general.vocabulary import Live, World, rates


def numbers(world, name, which):
    return replace(world, others={name: which}).data(name)


def bits(name):
    return lambda world, which: (numbers(world, name, which) > 0).to(world.dtype)


def shares(name):
    return lambda world, which: 0.1 + 0.8 * numbers(world, name, which).sigmoid()


def coins(world, which):
    return BinomialDiffusion(rates(World(others={"p": which}), "p"), 0.3)


def like_x(world, which):
    return Live("model", replace(world, others={"model": which}))


BITS = {name: bits(name) for name in ("x", "x_0", "x_t", "x_T")} | {"model": like_x}
RATES = {name: shares(name) for name in ("law", "q", "p")}
ARGUMENTS = {
    "BinomialDiffusion.*": BITS | RATES,
    "divergence": {"t": lambda world, which: replace(world, others={"t": which}).steps("t", 2)},
    "GaussianDiffusion.entropy": {"t": (3, 4, 5)},
}
COINS = {"coins": {**BITS, "process": coins}}
VARIANTS = dict.fromkeys(("divergence", "ends", "bound", "loss", "sample"), COINS)
BITS_JUMP = "bits have no derivative, and at 0 and 1 none is finite"
LEFT_OUT = {
    "gradients": dict.fromkeys((f"BinomialDiffusion.posterior({x})" for x in ("x_0", "x_t")), BITS_JUMP),
}
