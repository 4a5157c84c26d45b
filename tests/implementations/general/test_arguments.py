"""What a function is given stays as it was, bit by bit, and so does what an iterator has already handed out."""

from functools import partial

import pytest
import torch

from tests.implementations.general.calls import asked, every, held, prepared
from tests.implementations.general.vocabulary import World


@every()
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_arguments_are_left_as_they_were(target, dtype):
    asked(target, "arguments", partial(unchanged, target, dtype))


def unchanged(target, dtype):
    call = prepared(target, World(dtype=dtype))
    things = {"self": call.of, **call.arguments}
    before = {name: [t.detach().clone() for t in held(thing)] for name, thing in things.items()}
    call.results()
    for name, thing in things.items():
        now = held(thing)
        assert len(now) == len(before[name]) and all(map(torch.equal, now, before[name])), f"{target} changes {name}"


@every(lambda target: "Iterator[Tensor]" in str(target.plain.__annotations__.get("return")))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_state_that_was_handed_out_is_left_as_it_was(target, dtype):
    seen = [(state, state.clone()) for state in prepared(target, World(dtype=dtype))()]
    assert len(seen) > 1
    assert all(torch.equal(state, copy) for state, copy in seen), f"{target} changes states it has yielded"
    listed = list(prepared(target, World(dtype=dtype))())
    assert all(torch.equal(state, copy) for state, (_, copy) in zip(listed, seen, strict=True))
