"""A row is its own: alone, with its own stream of draws, it comes out as in a batch, and no two rows share a draw."""

import inspect
from functools import partial
from itertools import combinations

import torch

from tests.implementations.general.calls import asked, every, prepared
from tests.implementations.general.test_gradients import learns
from tests.implementations.general.vocabulary import BATCH, Live, World


def of_rows(target) -> bool:
    if inspect.isclass(target.function):
        return False
    batch, alone = (prepared(target, world).arguments for world in (World(), World(rows=(0,))))
    return any(isinstance(v, torch.Tensor) and v.shape != alone[name].shape for name, v in batch.items())


@every(of_rows)
def test_a_row_comes_out_of_a_batch_as_alone(target):
    asked(target, "draws", partial(agrees, target))


def agrees(target):
    whole = prepared(target, World()).results()
    rows = [prepared(target, World(rows=(k,))).results() for k in range(BATCH)]
    for number, *alone in zip(whole, *rows, strict=True):
        close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-10)
        if number.shape == alone[0].shape:  # of all rows: their mean
            close(torch.stack(alone).double().mean(0), number.double())
        else:
            axis = next(k for k, (m, n) in enumerate(zip(number.shape, alone[0].shape, strict=True)) if m != n)
            close(torch.cat(alone, axis), number)


@every(lambda target: of_rows(target) and "noise" in target.signature.parameters)
def test_rows_that_are_alike_draw_apart(target):
    asked(target, "draws", partial(differ, target), "noise")


def differ(target):
    rows = [prepared(target, World(rows=(k,), alike=True)).results() for k in range(BATCH)]
    pairs = [zip(a, b, strict=True) for a, b in combinations(rows, 2)]
    assert any(not torch.equal(p, q) for pair in pairs for p, q in pair), f"{target}: one draw for all rows"


@every(lambda target: learns(target) and "noise" in target.signature.parameters)
def test_an_objective_asks_at_many_levels(target):
    """Rows of one batch are asked about at times of their own, where the objective draws its time."""
    call = prepared(target, World(alike=True))
    call()
    told = [t for model in call.arguments.values() if isinstance(model, Live) for t in model.told]
    for t in told:
        if isinstance(t, torch.Tensor) and t.ndim and len(t) == BATCH and not {"t", "gamma"} & call.arguments.keys():
            assert len(t.unique()) > 1, f"{target}: one time for all rows"


@every()
def test_nothing_is_drawn_but_from_the_noise_that_is_given(target):
    asked(target, "draws", partial(leaves_torch_alone, target), "torch")


def leaves_torch_alone(target):
    call = prepared(target, World())
    before = torch.get_rng_state()
    call.results()
    assert torch.equal(torch.get_rng_state(), before), f"{target} draws from torch's own generator"
