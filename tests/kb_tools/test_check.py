"""kb check: each kind of problem is found, at its place, with its fix, and nothing is found in a sound collection."""

from __future__ import annotations

import json
import os
import re

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


def test_what_was_seen_of_code_needs_its_address_and_a_day(make, record):
    seen = {"licence": "MIT", "looked": "2026-11-28"}
    collection = make(
        record("good", links={"code": "https://x.org/a"}, authors_code=seen),
        record("bare", authors_code=seen),
        record("other", links={"home": "https://x.org/a"}, authors_code=seen),
        wrong='id: wrong\nkind: paper\ntitle: "t"\nlinks: {code: "https://x.org/b"}\n'
        'authors_code: {licence: "MIT or so", look: "2026-11-28"}\n',
    )
    found = {(problem.path.stem, problem.code, problem.message) for problem in check(collection)}
    assert found == {
        ("bare", "incomplete", "authors_code: stands without links.code"),
        ("other", "incomplete", "authors_code: stands without links.code"),
        ("wrong", "missing-key", "authors_code.looked: is missing"),
        ("wrong", "unknown-key", "authors_code.look: unknown key"),
        ("wrong", "value", "authors_code.licence: 'MIT or so' is not an SPDX identifier"),
    }
    fixes = {problem.code: problem.fix for problem in check(collection) if problem.path.stem == "wrong"}
    assert fixes["unknown-key"] == "did you mean looked?"


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


def test_an_arxiv_id_that_no_paper_can_have_is_a_problem(make, record):
    collection = make(
        record("a", arxiv="2013.00001"), record("b", arxiv="2010.00001"), record("c", arxiv="math/0309136")
    )
    [problem] = check(collection)
    assert (problem.path.stem, problem.line) == ("a", line_of(collection, "a", "arxiv:"))
    assert problem.message == "arxiv: '2013.00001' can be no arXiv id: it names the month 13"


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
    """Two methods, the second importing from the first, each with its demo and tests; the second's record as given."""

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
        code_of, tests = collection.root / "implementations", collection.root / "tests" / "implementations"
        for folder in (code_of / "demos", tests):
            folder.mkdir(parents=True, exist_ok=True)
        (code_of / "first.py").write_text("def f(x):\n    return x\n")
        (code_of / "second.py").write_text(code)
        (code_of / "demos" / "first.py").write_text("from implementations.first import f\n\nBOUND = f(2)\n")
        demo = "from implementations.demos.first import f\nfrom implementations.second import g\n\nBOUND = g(f(3))\n"
        (code_of / "demos" / "second.py").write_text(demo)
        for module in ("first", "second"):
            (tests / f"test_{module}.py").write_text("")
        return collection

    return build


UNMEASURED = ("evidence", "bugs")


def others(collection) -> list[tuple[str, int, str]]:
    """Problems of methods but missing measurements, which these made-up methods do not have."""
    return [(p.path.name, p.line, p.message) for p in check(collection) if p.code not in UNMEASURED]


def test_a_method_in_step_with_its_record_has_no_problems_but_missing_measurements(methods):
    collection = methods()
    assert others(collection) == []
    assert sorted((p.path.stem, p.code, p.fix) for p in check(collection)) == [
        ("first", "bugs", "run `make mutants METHODS=first`"),
        ("first", "evidence", "run `kb verify first --seeds 10 --record`"),
        ("second", "bugs", "run `make mutants METHODS=second`"),
        ("second", "evidence", "run `kb verify second --seeds 10 --record`"),
    ]


def test_an_implementation_that_is_not_there(make, record):
    collection = make(record("a", implementation="nothing"))
    assert found(collection, "implementation") == [
        (
            "a.yaml",
            line_of(collection, "a", "implementation:"),
            "implementation: there is no implementations/nothing.py",
        )
    ]
    assert "`kb new-method a` writes one" in str(check(make(record("a", implementation="nothing")))[0].fix)


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


def test_a_section_is_declared_with_its_comment_and_may_be_named_without(methods):
    equations = {"section 4.2": {"tex": "y = x", "says": "the step"}}
    code = METHOD.replace("Eq. 3", "section 4.2")
    assert others(methods(code, equations=equations)) == []
    assert others(methods(METHOD.replace("# Eq. 3", "# section 4.3"), equations=None, equations_from=None)) == []
    collection = methods(METHOD.replace("# Eq. 3", "# as in section 4.2"), equations=equations)
    assert others(collection) == [
        (
            "second.yaml",
            line_of(collection, "second", '  "section 4.2"'),
            "equations: no comment `# section 4.2` in implementations/second.py",
        )
    ]


ALGORITHMS = {"2": {"says": "the step", "steps": ["repeat", "  add one"]}}
ANCHORED = METHOD.replace("def g(x):", "def g(x):  # Alg. 2")


def test_algorithms_and_comments_are_held_together_both_ways(methods):
    assert others(methods(ANCHORED, algorithms=ALGORITHMS)) == []
    collection = methods(ANCHORED.replace("Alg. 2", "Algs. 4 and 5"), algorithms=ALGORITHMS)
    assert others(collection) == [
        ("second.py", 5, "Alg. 4 is not among the algorithms of second"),
        ("second.py", 5, "Alg. 5 is not among the algorithms of second"),
        (
            "second.yaml",
            line_of(collection, "second", '  "2"'),
            "algorithms: no comment `# Alg. 2` on a `def` of implementations/second.py",
        ),
    ]


def test_an_algorithm_that_stands_on_no_def_is_a_problem_with_its_fix(methods):
    collection = methods(METHOD.replace("# Eq. 3", "# Eq. 3, Alg. 2"), algorithms=ALGORITHMS)
    problems = {p.message: p for p in check(collection) if p.code == "algorithm"}
    stray = problems["Alg. 2 does not stand on a `def`"]
    assert (stray.path.name, stray.line) == ("second.py", 6)
    assert "where a `def` begins or where its signature ends" in (stray.fix or "")
    assert len(problems) == 2, "and it is no anchor of the record's"


def test_an_algorithm_may_be_that_of_a_section(methods):
    algorithms = {"section 4": ALGORITHMS["2"]}
    assert others(methods(METHOD.replace("def g(x):", "def g(x):  # section 4"), algorithms=algorithms)) == []
    collection = methods(METHOD.replace("# Eq. 3", "# Eq. 3\n    # section 4"), algorithms=algorithms)
    assert [message for _, _, message in others(collection)] == [
        "algorithms: no comment `# section 4` on a `def` of implementations/second.py"
    ]


def test_symbols_are_names_of_the_code(methods):
    symbols = [{"paper": "x", "code": code, "says": "it"} for code in ("x", "f(x) + 1", "first.g")]
    assert others(methods(symbols=symbols)) == []
    symbols += [{"paper": "y", "code": code, "says": "it"} for code in ("firs", "1", "method")]
    collection = methods(symbols=symbols)
    problems = [p for p in check(collection) if p.code == "symbol"]
    assert [(p.message, p.fix) for p in problems] == [
        ("symbols: implementations/second.py has no name `firs`", "did you mean first?"),
        (
            "symbols: implementations/second.py has no names in `1`",
            "write the name that the code has, or delete the symbol",
        ),
        (
            "symbols: implementations/second.py has no name `method`",
            "write the name that the code has, or delete the symbol",
        ),
    ]
    assert problems[0].line == line_of(collection, "second", '- {paper: "y", code: "firs"')


def test_algorithms_and_symbols_are_of_a_method_and_fit_the_model(make, record):
    algorithms = {"no 2": ALGORITHMS["2"], "3": {"says": "it", "steps": [" one in"]}, "4": {"says": "it", "stps": []}}
    messages = {p.message: p.fix for p in check(make(record("a", algorithms=algorithms, symbols=[{"paper": "x"}])))}
    assert messages["algorithms.no 2: 'no 2' is not the number of an equation or algorithm"]
    assert "indented by two spaces for each loop" in "".join(messages)
    assert messages["algorithms.4.stps: unknown key"] == "did you mean steps?"
    assert messages["symbols.1.code: is missing"] == "add `code: ...`"
    messages = {p.message: p.fix for p in check(make(record("a", algorithms=ALGORITHMS)))}
    assert "name the method that implements them" in messages.values()


@pytest.mark.parametrize(
    "line",
    ["from implementations.first import f", "import implementations.first", "from implementations import first as f"],
)
def test_an_import_between_methods_is_an_edge_of_builds_on(methods, line):
    collection = methods(METHOD.replace("from implementations.first import f", line), builds_on=None)
    assert others(collection) == [
        ("second.py", 1, "takes from the demo of first, but second does not build on first"),
        ("second.py", 2, "imports implementations.first, but second does not build on first"),
    ]


def test_a_method_that_is_not_python(methods):
    collection = methods("def (:\n")
    assert [(name, line) for name, line, _ in others(collection) if name == "second.py"] == [("second.py", 1)]


def claim(**changes):
    return {
        "name": "exact", "relation": "<=", "bound": 2.0, "value": 1.0, "sd": 0.1, "worst": 1.2, "worst_seed": 3,
        "control": 3.0, "control_best": 2.5, "control_seed": 7, "holds": True,
    } | changes  # fmt: skip


@pytest.fixture
def measured(methods):
    """The collection of `methods` with evidence and planted bugs of both, counted on their code of now."""
    collection = methods()
    (collection.root / "implementations" / "evidence").mkdir()
    for module in ("first", "second"):
        put_evidence(collection, module)
        put_bugs(collection, module)
    assert check(collection) == []
    return collection


def put_evidence(collection, module: str, **changes) -> None:
    from implementations.verification.code_hash import code_hash
    from implementations.verification.evidence import store

    entry = {
        "device": "cpu", "data": "digits", "code": code_hash(f"demos.{module}", collection.root), "claims": [claim()],
        "figures": [], "seeds": list(range(10)), "seconds": 30, "bases": [],
    } | changes  # fmt: skip
    store.path_of(module, collection.root).write_text(store.dump({"method": module, "entries": [entry]}))


def put_bugs(collection, module: str, **changes) -> None:
    from implementations.verification.code_hash import code_hash
    from implementations.verification.evidence import store
    from implementations.verification.mutants import recorded

    row = {
        "module": module, "code": code_hash(module, collection.root), "mutants": 20, "equivalent": 0, "killed": 20,
        "survived": 0, "score": 1.0, "pitfalls": [{"pitfall": "a sign", "killed_by": "test_it"}], "survivors": [],
        "equivalents": [],
    } | changes  # fmt: skip
    recorded.path_of(module, collection.root).write_text(store.dump(row))


def test_evidence_of_other_code_is_stale(measured):
    put_evidence(measured, "second", code="sha256:0")
    [stale] = check(measured)
    assert (stale.path.stem, stale.code) == ("second", "evidence")
    assert "older than the code" in stale.message
    assert stale.fix == "run `kb verify second --seeds 10 --record`"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"worst": 2.1}, "exact: the value 2.1 (seed 3) is not <= 2"),
        ({"worst": float("nan")}, "exact: the value nan (seed 3) is not <= 2"),
        ({"sd": 0.3}, "exact: 3.3 standard deviations from its bound (<= 2), not 4"),
        ({"control_best": 1.9}, "exact: the control 1.9 (seed 7) passes <= 2 too"),
        ({"relation": ">=", "bound": 0.5, "worst": 0.8, "control_best": 0.6},
         "exact: the control 0.6 (seed 7) passes >= 0.5 too"),
    ],
)  # fmt: skip
def test_a_claim_that_does_not_stand_is_named_with_seed_and_remedy(measured, changes, words):
    put_evidence(measured, "first", claims=[claim(**changes)])
    [weak] = check(measured)
    assert (weak.code, weak.message) == ("claim", words)
    assert re.fullmatch(r"another bound, more samples.*--record`", str(weak.fix))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": [0, 1, 2]}, "measured on 3 seeds, not 10"),
        ({"seconds": 41}, "the demo took 41 s on the clock, more than 40"),
        ({"bases": [{"network": "base", "loaded": 10, "training_seconds": 41}]},
         "the demo and the networks it loads took 71 s on the clock, more than 70"),
    ],
)  # fmt: skip
def test_a_measurement_that_is_too_small_or_too_slow_is_named(measured, changes, words):
    put_evidence(measured, "first", **changes)
    assert [(p.code, p.message) for p in check(measured)] == [("claim", words)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": "sha256:0"}, "planted bugs were counted on other code"),
        ({"killed": 18, "survived": 2, "score": 0.9}, "90.00% of the planted bugs are seen"),
        ({"pitfalls": []}, "no pitfall is listed"),
        ({"pitfalls": [{"pitfall": "a sign", "killed_by": "nothing"}]}, "no test sees the pitfall 'a sign'"),
    ],
)
def test_planted_bugs_that_are_old_or_not_seen_are_reported(measured, changes, words):
    put_bugs(measured, "first", **changes)
    [found] = check(measured)
    assert (found.code, words in found.message) == ("bugs", True)
    assert "make mutants METHODS=first" in str(found.fix)


def put_showcase(collection, slug: str, **changes) -> None:
    from implementations.verification.evidence import showcases

    folder = collection.root / "implementations" / "evidence"
    picture = dict.fromkeys(showcases.OF_PICTURE, 1) | {"file": f"{slug}.showcase.webp"}
    entry = dict.fromkeys(showcases.FIELDS, 1) | {"method": slug, "networks": [], "pictures": [picture]} | changes
    (folder / f"{slug}.showcase.yaml").write_text(showcases.dump(entry))
    (folder / f"{slug}.showcase.webp").write_bytes(b"")


def test_a_showcase_may_be_old_and_must_be_whole(measured):
    put_showcase(measured, "first", code="of another day")
    assert check(measured) == []
    (measured.root / "implementations" / "evidence" / "first.showcase.webp").unlink()
    put_showcase(measured, "second", pictures=[])
    found = [(p.path.name, p.code, p.message, p.fix) for p in check(measured)]
    assert found == [
        ("first.showcase.yaml", "showcase", "its picture first.showcase.webp is missing",
         "run `kb run first --showcase --record`"),
        ("second.showcase.yaml", "showcase", "not the showcase of second", "run `kb run second --showcase --record`"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("first.py", "import PIL\n", "must not import PIL"),
        ("first.py", "from implementations.lab.data import load\n", "must not import implementations.lab.data"),
        (
            "first.py",
            "def f(x):\n    from implementations.demos import second\n",
            "must not import implementations.demos.second",
        ),
        ("common/rows.py", "from implementations.first import f\n", "must not import implementations.first"),
        ("lab/loop.py", "from implementations import first\n", "must not import implementations.first"),
        (
            "demos/first.py",
            "from implementations.showcases import first\n",
            "must not import implementations.showcases",
        ),
        ("first.py", "import implementations.showcases.first\n", "must not import implementations.showcases.first"),
        (
            "verification/oracles.py",
            "import implementations.demos.first\n",
            "must not import implementations.demos.first",
        ),
    ],
)
def test_the_rooms_of_the_code(measured, file, text, words):
    path = measured.root / "implementations" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    found = [p for p in check(measured) if p.code == "rooms"]
    assert [(p.path, p.message) for p in found] == [(path, words)]
    assert found[0].line == text.splitlines().index(next(t for t in text.splitlines() if "import" in t)) + 1


def test_what_the_rooms_allow(measured):
    code = measured.root / "implementations"
    allowed = "import math\nimport torch\nimport numpy as np\nfrom scipy.integrate import solve_ivp\n"
    (code / "first.py").write_text(allowed + "from implementations.common.rows import per_row\n")
    (code / "demos" / "first.py").write_text("import PIL\nfrom implementations.lab.data import load\n")
    (code / "showcases").mkdir()
    (code / "showcases" / "first.py").write_text("from implementations.demos.first import load\n")
    assert [p for p in check(measured) if p.code == "rooms"] == []


@pytest.mark.parametrize(
    "line", ["from implementations.demos.second import g", "from implementations.demos import second"]
)
def test_a_demo_takes_from_demos_along_the_lineage_alone(measured, line):
    path = measured.root / "implementations" / "demos" / "first.py"
    path.write_text(f"{line}\n\nBOUND = 1\n")
    found = [(p.path, p.line, p.message) for p in check(measured) if p.code == "lineage"]
    assert found == [(path, 1, "takes from the demo of second, but first does not build on second")]
    demo = measured.root / "implementations" / "demos" / "second.py"
    assert not [p for p in check(measured) if p.code == "lineage" and p.path == demo], "second builds on first"


def test_a_method_that_grows_long_says_why(measured):
    path = measured.root / "implementations" / "first.py"
    long = "\n".join(f"x{n} = {n}" for n in range(151))
    path.write_text(f'"""A method.\n\nIn words.\n"""\n\n# a comment\n{long}\n')
    assert "has 151 lines of code, more than 150" in [p.message for p in check(measured) if p.code == "length"]
    path.write_text(f'"""A method.\n\nLong because it is three methods in one.\n"""\n{long}\n')
    assert [p for p in check(measured) if p.code == "length"] == []


@pytest.mark.parametrize("lost", ["implementations/demos/first.py", "tests/implementations/test_first.py"])
def test_a_method_without_its_demo_or_its_tests(measured, lost):
    (measured.root / lost).unlink()
    found = [p for p in check(measured) if p.code in ("demo", "tests")]
    assert [p.message for p in found] == [f"first has no {lost}"]
    assert "`kb new-method first`" in str(found[0].fix)


def test_what_is_still_to_be_written_comes_before_what_measures_it(measured):
    (measured.root / "implementations" / "first.py").write_text(
        "def f(x):\n    raise NotImplementedError('the step')\n"
    )
    test = measured.root / "tests" / "implementations" / "test_first.py"
    test.write_text("def test_f():\n    raise AssertionError('derive it')\n\n\ndef test_g():\n    assert 1 == 1\n")
    found = [p for p in check(measured) if p.path.stem == "first"]
    assert [(p.code, p.message) for p in found] == [("unwritten", "f, test_f: not written yet")]


def test_a_changed_bound_of_a_demo_leaves_fresh_what_builds_on_it(measured):
    """The second demo takes `f` through the first one; the first's bound is its own."""
    path = measured.root / "implementations" / "demos" / "first.py"
    path.write_text(path.read_text().replace("f(2)", "f(2) + 1"))
    assert [(p.path.stem, p.code) for p in check(measured)] == [("first", "evidence")]
    path.write_text(path.read_text().replace("f(2) + 1", "f(2)"))
    assert check(measured) == []
    method = measured.root / "implementations" / "first.py"
    method.write_text("def f(x):\n    return 2 * x\n")
    assert sorted((p.path.stem, p.code) for p in check(measured)) == [
        (name, code) for name in ("first", "second") for code in ("bugs", "evidence")
    ]


def test_one_method_is_checked_alone(measured, kb):
    put_bugs(measured, "first", code="sha256:0")
    put_evidence(measured, "second", code="sha256:0")
    alone = kb(measured, "check", "first", "--json")
    assert (alone.code, [row["code"] for row in json.loads(alone.out)["data"]]) == (1, ["bugs"])
    assert "first: not written yet: why, worth_reading, builds_on, venue" in alone.err
    assert kb(measured, "check", "second").code == 1
    put_evidence(measured, "second")
    assert kb(measured, "check", "second").code == 0
    assert kb(measured, "check", "third").code == 3
    assert kb(measured, "check", "first", "--fix").code == 2


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
    assert {(p.path.stem, p.code) for p in check(measured)} == {
        (name, code) for name in ("first", "second") for code in ("evidence", "bugs")
    }
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
