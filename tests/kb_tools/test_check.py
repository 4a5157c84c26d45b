"""kb check: each kind of problem is found, at its place, with its fix, and nothing is found in a sound collection."""

from __future__ import annotations

import json
import os

import pytest

from kb_tools.check import check


def found(collection, code: str | None = None) -> list[tuple[str, int, str]]:
    """(file, line, message) of the problems with a code."""
    return [(p.path.name, p.line, p.message) for p in check(collection) if code in (None, p.code)]


def line_of(collection, stem: str, start: str) -> int:
    text = next(path for path in collection.files() if path.stem == stem).read_text()
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith(start))


def test_a_sound_collection_has_no_problems(make, record):
    collection = make(
        record("a", aliases=["A"], former_ids=["old-a"]),
        record("b", builds_on=["a"], cites=["a"], cites_source="the paper", topics=["speed"]),
        record("post", kind="blog", about=["a"], title="The paper called a"),
    )
    assert found(collection) == []


def test_edges_to_nothing_name_what_was_meant(make, record):
    collection = make(
        record("score-sde"),
        record("a", builds_on=["score-sed"], cites=["a", "nowhere-near"], cites_source="x", former_ids=["old"]),
        record("b", builds_on=["old", "post"], topics=["sped"]),
        record("post", kind="blog", about=["gone-entirely"]),
    )
    problems = {(p.path.stem, p.code): p for p in check(collection)}
    edge = problems["a", "unknown-id"]
    assert "nowhere-near" in edge.message or "score-sed" in edge.message
    fixes = {p.message: p.fix for p in check(collection)}
    assert fixes["builds_on: there is no record score-sed"] == "did you mean score-sde?"
    assert fixes["cites: names the record itself"] == "delete it"
    assert fixes["builds_on: old is called a now"] == "write a"
    assert fixes["builds_on: post is a blog, not a paper"]
    assert fixes["topics: there is no topic sped"] == "did you mean speed?"
    assert ("post.yaml", line_of(collection, "post", "about:"), "about: there is no record gone-entirely") in found(
        collection, "unknown-id"
    )


def test_the_exact_cycle_is_shown_in_the_direction_of_builds_on(make, record):
    collection = make(
        record("a", builds_on=["b"]),
        record("b", builds_on=["c"]),
        record("c", builds_on=["a", "free"]),
        record("x", builds_on=["y"]),
        record("y", builds_on=["x"]),
        record("free"),
    )
    assert found(collection, "cycle") == [
        ("a.yaml", line_of(collection, "a", "builds_on:"), "builds_on: a cycle, a -> b -> c -> a"),
        ("x.yaml", line_of(collection, "x", "builds_on:"), "builds_on: a cycle, x -> y -> x"),
    ]


def test_two_records_for_one_work_or_one_name(make, record):
    collection = make(
        record("a", arxiv="2006.11239", doi="10.1162/NECO.1", aliases=["Alpha"], title="One title", authors=["Same"]),
        record("b", arxiv="2006.11239", doi="10.1162/neco.1", aliases=["ALPHA"], title="One  Title", authors=["Same"]),
        record("c", aliases=["b"], title="One title", authors=["Other"]),
    )
    assert {(p.path.stem, p.code, p.message) for p in check(collection)} == {
        ("b", "duplicate", "arxiv: the same as the arxiv of a"),
        ("b", "duplicate", "doi: the same as the doi of a"),
        ("b", "duplicate", "title: the same as the title of a"),
        ("b", "clash", "aliases: the same as the aliases of a"),
        ("c", "clash", "aliases: the same as the id of b"),
    }


def test_syntax_model_layout_and_name_are_all_reported_in_one_pass(make, record):
    sound = record("a")
    collection = make(
        sound,
        broken='id: broken\ntitle: "open\n',
        unquoted="id: unquoted\nkind: paper\ntitle: t\narxiv: 2006.11230\n",
        twice="id: twice\nkind: paper\ntitle: t\ntitle: u\n",
        typo='id: typo\nkind: papre\ntitel: "t"\ntitle: "t"\nyear: "2020"\n'
        'worth_reading: 9\nlinks: {x: "javascript:y"}\n',
        name='id: other\nkind: paper\ntitle: "t"\n',
        loose="id: loose\nkind: paper\ntitle: 't'\n",
        bomb="id: &a x\nkind: *a\n",
    )
    codes: dict[str, list[str]] = {}
    for problem in check(collection):
        codes.setdefault(problem.path.stem, []).append(problem.code)
        assert problem.fix or problem.code in ("value", "yaml"), problem
    assert codes["broken"] == ["yaml"]
    assert "unquoted" in codes["unquoted"]
    assert "duplicate-key" in codes["twice"]
    assert codes["typo"] == ["value", "unknown-key", "type", "incomplete", "value", "value"]
    assert "id" in codes["name"]
    assert codes["loose"] == ["layout"]
    assert {"anchor", "alias"} <= set(codes["bomb"])
    assert "a" not in codes
    fixes = {problem.message: problem.fix for problem in check(collection)}
    assert fixes["titel: unknown key"] == "did you mean title?"
    assert fixes[
        "kind: 'papre' is none of paper, survey, tutorial, blog, video, course, textbook, code or webpage"
    ] == ("did you mean paper?")
    assert fixes["year: must be a whole number, not '2020'"] == "write it without quotes"


def test_the_order_of_problems_is_by_place_and_always_the_same(make, record):
    collection = make(record("b", builds_on=["none"]), record("a", topics=["none", "none"]), zz="x: [\n")
    first = [str(problem) for problem in check(collection)]
    places = [(str(p.path), p.line, p.column) for p in check(collection)]
    assert places == sorted(places)
    assert first == [str(problem) for problem in check(collection)]


def test_a_date_and_its_status_belong_together(make, record):
    collection = make(
        record("a", read_on="2026-01-01"), record("b", status="read", read_on="2026-02-30"), record("c", status="read")
    )
    assert [(name, message) for name, _, message in found(collection, "status")] == [
        ("a.yaml", "read_on: a date, but the status is unread"),
        ("b.yaml", "read_on: there is no day '2026-02-30'"),
    ]


def test_a_file_in_the_folder_of_another_kind(make, record):
    collection = make(record("post", kind="blog"))
    (collection.papers / "resources" / "post.yaml").rename(collection.papers / "post.yaml")
    assert [message for _, _, message in found(collection, "folder")] == ["a blog in the wrong folder"]


def test_one_id_in_both_folders(make, record):
    collection = make(record("a"))
    (collection.papers / "resources" / "a.yaml").write_text((collection.papers / "a.yaml").read_text())
    assert found(collection, "duplicate")


def test_topics_are_checked_too(make, record):
    topics = {"basics": {"title": "B", "summary": "S.", "filled_by": ["a", "b"]}, "odd": {"title": "O", "sumary": "x"}}
    collection = make(record("a"), topics=topics)
    messages = {p.message: p.fix for p in check(collection)}
    assert "basics.filled_by: there is no record b" in messages
    assert messages["odd.sumary: unknown key"] == "did you mean summary?"
    assert "odd.summary: is missing" in messages


def test_an_old_schema_is_reported(make, record):
    collection = make(record("a"))
    (collection.papers / "schema.json").write_text("{}\n")
    (collection.papers / "topics-schema.json").unlink()
    assert [name for name, _, _ in found(collection, "schema")] == ["schema.json", "topics-schema.json"]


def test_a_schema_that_is_no_text_is_reported_and_not_overwritten(make, record, kb):
    collection = make(record("a"))
    (collection.papers / "schema.json").write_bytes(b"\xff\xfe")
    (collection.papers / "topics-schema.json").unlink()
    (collection.papers / "topics-schema.json").mkdir()
    assert [(name, message) for name, _, message in found(collection)] == [
        ("schema.json", "cannot be read as text"),
        ("topics-schema.json", "cannot be read as text"),
    ]
    assert kb(collection, "fmt").code == 0
    assert (collection.papers / "schema.json").read_bytes() == b"\xff\xfe"


def test_topics_that_cannot_be_read_are_one_problem_and_not_one_per_record(make, record, kb):
    collection = make(record("a"), record("b"))
    (collection.papers / "topics.yaml").write_text("basics: [\n")
    assert [name for name, _, _ in found(collection)] == ["topics.yaml"]
    outcome = kb(collection, "list", "--topic", "basics")
    assert (outcome.code, "kb check" in outcome.err) == (2, True)


@pytest.mark.parametrize("text", [b"\xff", b"[]", b'{"schema_version": 1, "marks": {"x": {"s": "read", "t": "?"}}}'])
def test_marks_that_wait_and_cannot_be_read_are_reported(make, record, kb, text):
    collection = make(record("a"))
    (collection.papers / "unknown-marks.json").write_bytes(text)
    assert [(p.path.name, p.code) for p in check(collection)] == [("unknown-marks.json", "marks")]
    assert kb(collection, "progress", "export").code == 5


METHOD = '"""A method."""\nfrom implementations.first import f\n\n\ndef g(x):\n    return f(x) + 1  # Eq. 3\n'
EQUATIONS = {"3": {"tex": "y = x + 1", "says": "the step"}}


@pytest.fixture
def methods(make, record):
    """Two methods, the second importing from the first; fields of the second's record as given."""

    def build(code: str = METHOD, **fields):
        second = {
            "builds_on": ["first"],
            "implementation": "second",
            "equations": EQUATIONS,
            "equations_from": "arXiv v1",
            **fields,
        }
        collection = make(
            record("first", implementation="first"),
            record("second", **{k: v for k, v in second.items() if v is not None}),
        )
        (collection.root / "implementations" / "first.py").write_text("def f(x):\n    return x\n")
        (collection.root / "implementations" / "second.py").write_text(code)
        return collection

    return build


def others(collection) -> list[tuple[str, int, str]]:
    """Problems of methods but missing evidence, which these made-up methods never have."""
    return [(p.path.name, p.line, p.message) for p in check(collection) if p.code != "evidence"]


def test_a_method_in_step_with_its_record_has_no_problems_but_missing_evidence(methods):
    collection = methods()
    assert others(collection) == []
    assert {p.path.stem for p in check(collection) if p.code == "evidence"} == {"first", "second"}
    assert {p.fix for p in check(collection)} == {"run `kb verify first --record`", "run `kb verify second --record`"}


def test_an_implementation_that_is_not_there(make, record):
    collection = make(record("a", implementation="nothing"))
    assert found(collection, "implementation") == [
        (
            "a.yaml",
            line_of(collection, "a", "implementation:"),
            "implementation: there is no implementations/nothing.py",
        )
    ]


def test_a_method_without_a_record(methods):
    collection = methods()
    (collection.root / "implementations" / "stray.py").write_text("")
    assert [name for name, _, _ in found(collection, "implementation")] == ["stray.py"]


def test_equations_and_comments_are_held_together_both_ways(methods):
    collection = methods(METHOD.replace("Eq. 3", "Eqs. 4 and 5"))
    assert others(collection) == [
        ("second.py", 6, "Eq. 4 is not among the equations of second"),
        ("second.py", 6, "Eq. 5 is not among the equations of second"),
        (
            "second.yaml",
            line_of(collection, "second", '  "3"'),
            "equations: no comment `# Eq. 3` in implementations/second.py",
        ),
    ]


def test_an_equation_named_in_a_string_is_no_anchor(methods):
    collection = methods('X = "# Eq. 3"\n')
    assert [message for _, _, message in others(collection)] == [
        "equations: no comment `# Eq. 3` in implementations/second.py"
    ]


@pytest.mark.parametrize(
    "line",
    ["from implementations.first import f", "import implementations.first", "from implementations import first as f"],
)
def test_an_import_between_methods_is_an_edge_of_builds_on(methods, line):
    collection = methods(METHOD.replace("from implementations.first import f", line), builds_on=None)
    assert others(collection) == [("second.py", 2, "imports implementations.first, but second does not build on first")]


def test_a_method_that_is_not_python(methods):
    collection = methods("def (:\n")
    assert [(name, line) for name, line, _ in others(collection) if name == "second.py"] == [("second.py", 1)]


def test_stale_and_failing_evidence_is_reported(methods):
    from implementations.verification import evidence
    from implementations.verification.code_hash import code_hash

    collection = methods()
    root = collection.root
    (root / "implementations" / "evidence").mkdir()

    def recorded(module: str, code: str, holds: bool) -> None:
        claim = {"name": "exact", "value": 1.0, "relation": "<=", "bound": 2.0, "control": 3.0, "holds": holds}
        entry = {"device": "cpu", "data": "digits", "code": code, "claims": [claim], "figures": []}
        evidence.path_of(module, root).write_text(evidence.dump({"method": module, "entries": [entry]}))

    recorded("first", code_hash("first", root), True)
    recorded("second", "sha256:0", True)
    [stale] = check(collection)
    assert (stale.path.stem, stale.code) == ("second", "evidence")
    assert "older than the code" in stale.message
    recorded("second", code_hash("second", root), False)
    [failing] = check(collection)
    assert (failing.code, "exact" in failing.message) == ("claim", True)


@pytest.fixture
def measured(methods):
    """The collection of `methods` with evidence of both, recorded on their code of now."""
    from implementations.verification import evidence
    from implementations.verification.code_hash import code_hash

    collection = methods()
    root = collection.root
    (root / "implementations" / "evidence").mkdir()
    for module in ("first", "second"):
        entry = {"device": "cpu", "data": "digits", "code": code_hash(module, root), "claims": [], "figures": []}
        evidence.path_of(module, root).write_text(evidence.dump({"method": module, "entries": [entry]}))
    assert check(collection) == []
    return collection


def places(collection) -> list[tuple[str, int, str]]:
    return [(p.path.relative_to(collection.root).as_posix(), p.line, p.code) for p in check(collection)]


def test_code_that_is_not_python_is_reported_once_even_where_evidence_depends_on_it(measured):
    (measured.root / "implementations" / "first.py").write_text("def f(x):\n    return (x\n")
    assert places(measured) == [("implementations/first.py", 2, "python")]


@pytest.mark.parametrize("code", [b"x = '\xff'\n", b"x = 1\n\0"])
def test_code_that_is_not_even_text(measured, code):
    (measured.root / "implementations" / "first.py").write_bytes(code)
    assert "python" in {p.code for p in check(measured) if p.path.name == "first.py"}


def test_what_is_remembered_of_the_code_follows_every_edit_of_it(measured, kb):
    """Same size and same times: only the bytes tell, so only they are asked."""
    path = measured.root / "implementations" / "first.py"
    code, times = path.read_text(), path.stat()

    def put(text: str) -> None:
        path.write_text(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def shown() -> str | None:
        return json.loads(kb(measured, "show", "second", "--json").out)["data"]["evidence"]["stale"]

    put(code.replace("return x", "return y"))
    assert {(p.path.stem, p.code) for p in check(measured)} == {("first", "evidence"), ("second", "evidence")}
    assert (
        "older than the code" in json.loads(kb(measured, "show", "second", "--json").out)["data"]["evidence"]["stale"]
    )
    put(code)
    assert check(measured) == []
    assert shown() is None
    (measured.root / "implementations" / "evidence" / "first.yaml").unlink()
    assert places(measured)[0][2] == "evidence"


@pytest.mark.parametrize("damage", ["", "{", '{"state": 1}', "[]", "state", "methods"])
def test_a_memory_of_the_code_that_is_damaged_is_made_anew(measured, damage):
    kept = measured.root / ".kb" / "methods.json"
    whole = json.loads(kept.read_text())
    broken = {"state": {**whole, "methods": {"first": {"equations": {}}}}, "methods": {**whole, "methods": None}}
    kept.write_text(json.dumps(broken[damage]) if damage in broken else damage)
    assert check(measured) == []
    assert json.loads(kept.read_text()) == whole


def test_check_reads_where_nothing_can_be_remembered(measured):
    (measured.root / ".kb" / "methods.json").unlink()
    (measured.root / ".kb").rmdir()
    (measured.root / ".kb").write_text("in the way")
    assert check(measured) == []
