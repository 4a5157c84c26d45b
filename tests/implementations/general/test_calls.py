"""Nothing escapes: every public function of every method is called by the general tests, or declared."""

from fnmatch import fnmatchcase
from functools import partial

import pytest
import torch

from implementations.verification.code_hash import ROOT
from tests.implementations.general.calls import asked, declarations, every, methods, prepared, targets
from tests.implementations.general.vocabulary import SCALARS, World

TESTS = {"finite", "gradients", "configurations", "shapes", "draws", "arguments"}


@every()
def test_a_public_function_is_called_by_the_house_s_names(target):
    asked(target, "finite", partial(all_finite, target, prepared(target, World()).results()))


def all_finite(target, results):
    assert all(torch.isfinite(number).all() for number in results if number.is_floating_point()), str(target)


def test_every_method_has_functions_that_are_called():
    assert {target.method for target in targets()} == set(methods())


def test_what_is_declared_names_functions_that_are_there():
    gone = []
    for method in methods():
        names = [target.name for target in targets() if target.method == method]
        module = declarations(method)
        left_out = getattr(module, "LEFT_OUT", {})
        assert left_out.keys() <= TESTS, f"{method}: LEFT_OUT knows the tests {sorted(TESTS)}"
        patterns = [name.partition("(")[0] for rows in left_out.values() for name in rows]
        patterns += [*getattr(module, "ARGUMENTS", {}), *getattr(module, "VARIANTS", {}), *getattr(module, "BUILT", {})]
        gone += [
            f"{method}: {p}" for p in patterns if not any(fnmatchcase(name, p.partition("[")[0]) for name in names)
        ]
    assert not gone
    files = {path.stem for path in (ROOT / "tests" / "implementations" / "calls").glob("*.py")}
    assert files <= set(methods()), "a declaration for no method"


@pytest.mark.parametrize("name", SCALARS)
def test_the_three_values_of_a_name_differ(name):
    a, b, c = SCALARS[name]
    assert a != b != c != a
