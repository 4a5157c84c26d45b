"""Which modules are counted, where their tests are, and what a person may call them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from implementations.verification.code_hash import PACKAGE, ROOT, locate

GROUPS = ("methods", "common", "verification")  # counted apart: one total for all would hide the weakest
UNCOUNTED = {
    "verification.mutants": "it would plant bugs in what plants them",
    "verification.evidence": "it runs demos and keeps what they measured, and measures nothing itself",
    "verification.code_hash": "it says whether a record is old, and measures nothing itself",
    "verification.error_rates": "it is a table of samplers that are wrong on purpose",
}


class MutantError(ValueError):
    """Mutation testing that cannot go on; the message says what to mend."""


def slug_of(module: str) -> str:
    """The name of a module in commands and files: flow_matching is flow-matching."""
    return module.replace("_", "-")


def group_of(module: str) -> str:
    """The group that a counted module belongs to: its folder, or "methods" where it has none."""
    return module.split(".")[0] if "." in module else GROUPS[0]


def bugs_of(module: str, root: Path = ROOT) -> Path:
    """Where the bugs stand that are planted in a module by hand, and those that no test could see."""
    return root / "tests" / PACKAGE / "bugs" / f"{slug_of(module)}.yaml"


def own_tests(module: str, root: Path = ROOT) -> tuple[Path, ...]:
    """test_<name>.py and test_<name>_*.py, where the folders of tests mirror those of the package."""
    *folders, leaf = module.split(".")
    beside = {path.stem for path in root.joinpath(PACKAGE, *folders).glob("*.py")}

    def owner(test: Path) -> str:
        """The longest name that fits: test_edm_churn.py is not edm's where there is an edm_churn."""
        name = test.stem.removeprefix("test_")
        return max((one for one in beside if f"{name}_".startswith(f"{one}_")), key=len, default="")

    found = sorted(folder_of_tests(module, root).glob(f"test_{leaf}*.py"))
    return tuple(test for test in found if owner(test) == leaf)


def folder_of_tests(module: str, root: Path = ROOT) -> Path:
    return root.joinpath("tests", PACKAGE, *module.split(".")[:-1])


def every(root: Path = ROOT) -> list[str]:
    """All modules that are counted, group by group, in alphabetical order: those that have tests of their own."""
    return [module for group in GROUPS for module in _in_group(group, root) if module not in UNCOUNTED]


def named(words: Sequence[str], root: Path = ROOT) -> list[str]:
    """The counted modules that are meant by "ddim", "flow-matching", "flow_matching" or "common.noise".

    Raises MutantError with a line for each word that means none.
    """
    known = every(root)
    problems = [_why_not(word, known, root) for word in words if _module(word) not in known]
    if problems:
        raise MutantError("\n".join(problems))
    return list(dict.fromkeys(map(_module, words)))


def _in_group(group: str, root: Path) -> list[str]:
    folder, prefix = (root / PACKAGE, "") if group == GROUPS[0] else (root / PACKAGE / group, f"{group}.")
    modules = sorted(f"{prefix}{path.stem}" for path in folder.glob("*.py"))
    return [module for module in modules if own_tests(module, root)]


def _module(word: str) -> str:
    return word.replace("-", "_")


def _why_not(word: str, known: Sequence[str], root: Path) -> str:
    module = _module(word)
    for name, reason in UNCOUNTED.items():
        if f"{module}.".startswith(f"{name}."):
            return f"{word} is not counted: {reason}"
    if locate(f"{PACKAGE}.{module}", root):
        if group_of(module) not in GROUPS:
            return f"{word} is not counted: bugs are planted in {', '.join(GROUPS[:-1])} and {GROUPS[-1]} alone"
        leaf = module.split(".")[-1]
        return f"no tests for {word}: looked for test_{leaf}.py in {folder_of_tests(module, root).relative_to(root)}"
    spelt = {slug_of(one.split(".")[-1]): slug_of(one) for one in known} | {slug_of(one): slug_of(one) for one in known}
    near = get_close_matches(slug_of(word), spelt, n=1)
    return f"no module {word}" + (f": did you mean {spelt[near[0]]}?" if near else "")
