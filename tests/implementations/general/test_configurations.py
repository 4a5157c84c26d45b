"""Each argument is read: at two values that are not its default the result is another, or the value is refused."""

from functools import partial

import pytest
import torch

from tests.implementations.general.calls import asked, every, prepared
from tests.implementations.general.vocabulary import BATCH, SCALARS, World


def result(target, /, **others):
    return [number.detach() for number in prepared(target, World(others=others)).results()]


def same(a, b) -> bool:
    return len(a) == len(b) and all(p.shape == q.shape and torch.equal(p, q) for p, q in zip(a, b, strict=True))


@every()
def test_each_argument_changes_the_result_or_is_refused(target):
    base = result(target)
    for name, parameter in target.signature.parameters.items():
        if name in SCALARS and name not in target.given():
            assert parameter.default not in SCALARS[name][1:], f"{name}: a default is no other value"
        asked(target, "configurations", partial(is_read, target, name, base), name)


def is_read(target, name, base):
    ways = (1,) if target.signature.parameters[name].annotation in ("bool", bool) else (1, 2)
    refused = 0
    for which in ways:
        try:
            changed = not same(base, result(target, **{name: which}))
        except ValueError:
            refused += 1
            continue
        assert changed or gives_the_shape(target, name, base), f"{target}: nothing reads {name}"
    assert refused < len(ways), f"{target} refuses every other {name}"


def gives_the_shape(target, name, base) -> bool:
    """Whether a tensor says in what shape or for how many rows something is wanted: not what a model is asked about."""
    call = prepared(target, World())
    tensor = call.arguments.get(name)
    if not isinstance(tensor, torch.Tensor) or any(isinstance(v, torch.nn.Module) for v in call.arguments.values()):
        return False
    for other in (torch.stack([tensor, tensor], -1), tensor[:1]):
        call = prepared(target, World())
        call.arguments[name] = other
        try:
            if not same(base, [number.detach() for number in call.results()]):
                return True
        except (RuntimeError, ValueError, IndexError):  # whatever it is that does not fit, it was read
            return True
    return False


@every()
def test_float32_is_float64_rounded(target):
    asked(target, "configurations", partial(agrees, target), "dtype")


def agrees(target):
    wide, narrow = (prepared(target, World(dtype=dtype)).results() for dtype in (torch.float64, torch.float32))
    for a, b in zip(wide, narrow, strict=True):
        if a.is_floating_point():
            scale = a.abs().max().item() if a.numel() else 0.0
            torch.testing.assert_close(b.double(), a.double(), rtol=1e-4, atol=2e-5 * scale)
        else:
            assert torch.equal(a, b)


def one_or_many(target) -> list[str]:
    """Arguments that are one number for all rows, or one for each."""
    wanted = ("int | Tensor", "float | Tensor", "Time")
    return [n for n, p in target.signature.parameters.items() if p.annotation in wanted]


@every(lambda target: bool(one_or_many(target)))
def test_a_number_for_all_rows_is_the_same_number_for_each(target):
    asked(target, "configurations", partial(is_for_all, target), "number")


def is_for_all(target):
    """Also in float32, where a number must not decide in which precision the rows are."""
    for dtype in (torch.float64, torch.float32):
        many, one = (prepared(target, World(dtype=dtype)) for _ in range(2))
        for name in one_or_many(target):
            number = torch.as_tensor(many.arguments[name]).reshape(-1)[0]
            many.arguments[name], one.arguments[name] = number.expand(BATCH).clone(), number.item()
        for a, b in zip(many.results(), one.results(), strict=True):
            torch.testing.assert_close(*torch.broadcast_tensors(a, b), rtol=1e-5, atol=1e-6, check_dtype=False)
            assert a.dtype == b.dtype or b.ndim == 0, f"{target}: {a.dtype} for rows, {b.dtype} for a number"


@every(lambda t: t.is_network and t.name.endswith(".forward") and {"x", "t"} <= t.signature.parameters.keys())
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_time_in_half_precision_is_the_same_time_or_refused(target, dtype):
    asked(target, "configurations", partial(holds_the_time, target, dtype), "half")


def holds_the_time(target, dtype):
    def told(t):
        call = prepared(target, World())
        call.arguments["t"] = t
        return call()

    t = torch.tensor([0.2890625, 0.8125, 0.99609375])  # each of both types holds them
    try:
        narrow = told(t.to(dtype))
    except (ValueError, TypeError):
        return
    torch.testing.assert_close(narrow, told(t), rtol=1e-6, atol=1e-6)
