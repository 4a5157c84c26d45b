"""What is known of the tests themselves: planted bugs, the two-sample test, benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GROUPS = ("methods", "common", "verification")  # of modules in which bugs are planted, each with a total of its own
COUNTS = ("mutants", "equivalent", "killed", "survived")
TITLES = {  # in the order in which they are shown
    "unet": "The U-Net beside two others",
    "unet-cuda": "The U-Net beside two others, on a GPU",
    "site": "This site beside two generators",
    "kb": "kb beside papis",
    "imports": "Importing a method",
}


@dataclass(frozen=True)
class Table:
    """Rows of cells under the columns in the order in which they first appear; figures are to be set to the right."""

    name: str
    columns: list[str]
    rows: list[list[str]]
    figures: frozenset[str]


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark found, whatever its tables are called.  facts: the rest of it, in words."""

    name: str
    title: str
    what: str
    facts: Mapping[str, str]
    tables: list[Table]


@dataclass(frozen=True)
class Proofs:
    """planted: group -> slug -> what was counted of the bugs planted in that module.

    codes: the same slugs -> hash of the module's code as it is.  two_sample: the record of that test,
    or nothing.
    """

    planted: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    codes: dict[str, str] = field(default_factory=dict)
    two_sample: Mapping[str, Any] = field(default_factory=dict)
    benchmarks: list[Benchmark] = field(default_factory=list)


def read_proofs(root: Path, problems: list[str]) -> Proofs:
    """All there is; what cannot be read is added to `problems`, and what is not there is left out."""
    evidence = root / "implementations" / "evidence"
    planted = _planted(evidence, problems)
    places = {name: place for place, name in enumerate(TITLES)}
    found = (root / "benchmarks" / "results").glob("*.yaml")
    results = sorted(found, key=lambda path: (places.get(path.stem, len(places)), path.stem))
    benchmarks = [_benchmark(path.stem, _mapping(path, problems)) for path in results]
    return Proofs(
        planted,
        {slug: _code(row["module"], root) for group in GROUPS for slug, row in planted[group].items()},
        _mapping(evidence / "two-sample.yaml", problems),
        [benchmark for benchmark in benchmarks if benchmark.tables],
    )


def _planted(evidence: Path, problems: list[str]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The rows of all files <slug>.bugs.yaml, by group and slug."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {group: {} for group in GROUPS}
    for path in sorted(evidence.glob("*.bugs.yaml")):
        row, slug = _mapping(path, problems), path.name.removesuffix(".bugs.yaml")
        group = slug.split(".")[0] if "." in slug else GROUPS[0]
        if row and group in found and _counted(row, slug):
            found[group][slug] = row
        elif row:
            problems.append(f"{path.name}: is not what was counted of the bugs planted in a module")
    return found


def _counted(row: Mapping[str, Any], slug: str) -> bool:
    """Whether a row holds what pages show of it."""
    if str(row.get("module")).replace("_", "-") != slug or not {"code", "recorded", "survivors"} <= row.keys():
        return False
    if not all(type(row.get(name)) is int for name in COUNTS) or not isinstance(row["survivors"], list):
        return False
    parts = {"pitfalls": {"pitfall", "killed_by"}, "equivalents": {"mutant", "reason"}}
    return all(
        isinstance(row.get(name), list) and all(isinstance(one, dict) and keys <= one.keys() for one in row[name])
        for name, keys in parts.items()
    )


def _code(module: str, root: Path) -> str:
    """The hash of a module's code, or nothing where it has none."""
    from implementations.verification.code_hash import code_hash

    try:
        return code_hash(module, root)
    except (OSError, SyntaxError, ValueError):
        return ""


def _mapping(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - it is a safe one
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: cannot be read: {' '.join(str(error).split())}")
        return {}
    if not isinstance(found, dict):
        problems.append(f"{path.name}: holds no mapping")
        return {}
    return found


def _benchmark(name: str, report: Mapping[str, Any]) -> Benchmark:
    """Every list of mappings is a table, everything else a fact."""
    lists = {key: [row for row in value if isinstance(row, dict)] for key, value in report.items() if _rows(value)}
    facts = {key: said(value) for key, value in report.items() if key not in {"what", "schema_version", *lists}}
    title = TITLES.get(name) or name.replace("_", " ").replace("-", " ")
    kept = {_words(key): value for key, value in facts.items() if value}
    return Benchmark(name, title, str(report.get("what", "")), kept, [_table(*item) for item in lists.items()])


def _rows(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    figures = {c for c in columns if all(not isinstance(row.get(c), str) for row in rows)}
    cells = [[said(row.get(column)) for column in columns] for row in rows]
    return Table(_words(name), [_words(c) for c in columns], cells, frozenset(map(_words, figures)))


def said(value: object) -> str:
    """A value in words: a median with its range, a mapping as its parts, figures to four digits."""
    if isinstance(value, Mapping):
        if {"median", "least", "most"} <= value.keys():
            return f"{said(value['median'])} ({said(value['least'])} to {said(value['most'])})"
        return ", ".join(f"{_words(str(key))} {said(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(said, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return figure(value)
    return "" if value is None else str(value)


def figure(value: float) -> str:
    """Four significant digits, without an exponent where one can be read without it."""
    return f"{float(value):.4g}".replace("e-0", "e-").replace("e+0", "e+")


def set_number(value: float) -> Markup:
    """The same for a page: what has an exponent is set as a power of ten, and no line breaks within."""
    short = figure(value)
    if "e" not in short:
        return Markup('<span class="num">{}</span>').format(short.replace("-", "−"))
    digits, _, power = f"{float(value):.1e}".partition("e")
    digits = digits.removesuffix(".0").replace("-", "−")
    sign = "−" if power.startswith("-") else ""
    times = "" if digits == "1" else f"{digits} × "
    return Markup('<span class="num">{}10<sup>{}{}</sup></span>').format(times, sign, power.lstrip("+-0"))


def _words(name: str) -> str:
    return name.replace("_", " ")
