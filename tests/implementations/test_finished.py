"""Every method is finished: `kb check` owns the rules, and says what mends what it finds."""

import ast

import pytest
import yaml

from implementations import demos
from implementations.verification.code_hash import ROOT, code_hash
from implementations.verification.evidence import store
from kb_tools.check import about, check, files_of
from kb_tools.methods.layers import files, room_of, strangers
from kb_tools.records.store import Collection

METHODS = sorted(path.stem for path in (ROOT / "implementations").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def problems():
    return check(Collection(ROOT))


@pytest.mark.parametrize("slug", demos.slugs())
def test_a_method_is_finished(problems, slug):
    found = about(problems, files_of(Collection(ROOT), slug))
    assert [f"{problem.path.name}: {problem.code}: {problem.message}; fix: {problem.fix}" for problem in found] == []


def test_every_method_has_a_demo_and_every_demo_a_method():
    assert [slug.replace("-", "_") for slug in demos.slugs()] == METHODS


def test_no_file_imports_what_its_room_must_not_know():
    """A method holds its paper alone, and nothing but a demo knows a demo."""
    seen = {}
    for path, room in files(ROOT):
        seen.setdefault(room, []).append(path.name)
        assert list(strangers(ast.parse(path.read_text(encoding="utf-8")), room)) == [], path
    assert {room: len(names) > 1 for room, names in seen.items()} == dict.fromkeys(seen, True)
    assert set(seen) == {"common", "methods", "verification", "lab", "demos", "showcases"}


@pytest.mark.parametrize(
    ("line", "room"),
    [
        ("from implementations.demos.ddpm import network", "methods"),
        ("from implementations import demos", "methods"),
        ("import implementations.lab.training", "methods"),
        ("def f():\n    from implementations.verification.oracles import line", "methods"),
        ("from PIL import Image", "methods"),
        ("from implementations.ddpm import loss", "common"),
        ("from implementations.demos import find", "verification"),
        ("from implementations.demos.recipes import unet", "lab"),
        ("from implementations.unet import UNet", "lab"),
        ("from implementations.showcases.ddpm import network", "demos"),
    ],
)
def test_the_rule_sees_what_breaks_it(line, room):
    assert len(list(strangers(ast.parse(line), room))) == 1


def test_rooms_are_folders():
    assert [room_of(parts) for parts in [("ddim",), ("common", "rows"), ("demos", "ddim")]] == [
        "methods", "common", "demos",
    ]  # fmt: skip


def test_the_two_sample_test_was_measured_on_its_present_code_and_keeps_to_its_level():
    recorded = yaml.safe_load(store.path_of("two-sample").read_text())
    assert recorded["code"] == code_hash("verification.error_rates"), "run `make two-sample`"
    null = recorded["false_alarms"]
    assert null["runs"] >= 200
    assert null["low"] <= recorded["level"] <= null["high"]
