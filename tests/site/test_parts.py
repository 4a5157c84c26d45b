"""The small functions under the pages."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kb_tools.records.store import Collection
from kb_tools.site.generator import for_browsers
from kb_tools.site.listing import MethodSource
from kb_tools.site.markup import page, prose, safe_url, text
from kb_tools.site.maths import ELEMENTS, MathError, alphabet, mathml
from kb_tools.site.pages import natural
from kb_tools.site.proofs import figure, read_proofs

ROOT = Path(__file__).resolve().parents[2]


def test_text_leaves_nothing_for_html_markdown_or_templates_to_read(hostile: tuple[str, ...]) -> None:
    for made in [str(turn(payload)) for payload in hostile for turn in (text, prose)]:
        assert not set(re.sub(r"</?(?:i|sub|sup|code)>", "", made)) & set("<>\"'[]{}\\`*_~!|")


def test_front_matter_is_one_line_of_entities() -> None:
    made = page("a: b\n---\n{{ x }} <b>", "<div>\n\n\n<p>x</p>\n</div>")
    front, body = made.split("\n---\n\n")
    assert front.split("\n")[1] == 'title: "a: b --- &#123;&#123; x &#125;&#125; &lt;b&gt;"'
    assert body == "<div>\n<p>x</p>\n</div>\n"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " data:text/html,x",
        "//example.com",
        "papers/x",
        "http:",
        "file:///etc/passwd",
        "http://[bad",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    assert safe_url(url) is None


@pytest.mark.parametrize("url", ["https://example.com/a?b=c", "http://example.com", "mailto:a@example.com"])
def test_addresses_that_are_kept(url: str) -> None:
    assert safe_url(url) == url


def test_plain_text_maths_in_a_sentence() -> None:
    made = str(prose("Since x_0 and abar_t, sqrt(beta) of alpha-blending in snake_case_name."))
    assert "<i>x</i><sub>0</sub>" in made
    assert "<i>ᾱ</i><sub>t</sub>" in made
    assert "√(<i>β</i>)" in made
    assert "alpha-blending" in made
    assert (
        str(prose("eta = 0, theta, rho and zeta; a beta-test"))
        == "<i>η</i> = 0, <i>θ</i>, <i>ρ</i> and zeta; a beta-test"
    )
    assert "snake&#95;case&#95;name" in made


@pytest.mark.parametrize(
    ("char", "variant", "name"),
    [
        ("x", "bold", "MATHEMATICAL BOLD SMALL X"),
        ("I", "bold", "MATHEMATICAL BOLD CAPITAL I"),
        ("ϵ", "bold-italic", "MATHEMATICAL BOLD ITALIC EPSILON SYMBOL"),
        ("μ", "bold-italic", "MATHEMATICAL BOLD ITALIC SMALL MU"),
        ("Σ", "bold", "MATHEMATICAL BOLD CAPITAL SIGMA"),
        ("N", "script", "MATHEMATICAL SCRIPT CAPITAL N"),
        ("L", "script", "SCRIPT CAPITAL L"),
        ("E", "double-struck", "MATHEMATICAL DOUBLE-STRUCK CAPITAL E"),
        ("R", "double-struck", "DOUBLE-STRUCK CAPITAL R"),
        ("0", "bold", "MATHEMATICAL BOLD DIGIT ZERO"),
        ("+", "bold", "PLUS SIGN"),
    ],
)
def test_alphabets_are_those_of_unicode(char: str, variant: str, name: str) -> None:
    assert unicodedata.name(alphabet(char, variant)) == name


def elements(tex: str) -> list[tuple[str, str]]:
    root = ElementTree.fromstring(str(mathml(tex)))
    return [(node.tag, node.text or "") for node in root.iter()]


def test_latex_of_papers_becomes_mathml_that_browsers_draw() -> None:
    found = elements(r"\bm{\epsilon}_\theta := \mathcal{N}(x; 0, \mathbf{I})")
    assert ("mi", "\U0001d750") in found
    assert ("mi", "\U0001d408") in found
    assert ("mo", "≔") in found
    assert ("mo", ";") in found


def test_operators_by_name_are_words() -> None:
    assert ("mo", "arg") in elements(r"\arg\min_x f")


def test_double_bars_of_any_size_are_bars() -> None:
    found = elements(r"\big\| a \bigr\|^2 + \left\| b \right\|")
    assert [value for _, value in found if "\\" in value] == []
    assert [value for _, value in found].count("\u2016") == 4


def test_brackets_at_the_ends_of_a_row_are_left_to_the_browser() -> None:
    assert str(mathml(r"\left( \frac{a}{b} \right] c")) == (
        '<math display="block"><mrow><mo>(</mo><mfrac><mi>a</mi><mi>b</mi></mfrac><mo>]</mo></mrow><mi>c</mi></math>'
    )
    assert '<mo stretchy="false">(</mo>' in str(mathml("f(x)")), "these must not grow"


def test_entities_that_only_markdown_needed_become_text_and_no_others() -> None:
    assert (
        for_browsers("a&#95;b &#42; &#91;x&#93; &lt;b&gt; &#60; &#38;lt; &#34;")
        == "a_b * [x] &lt;b&gt; &#60; &#38;lt; &#34;"
    )


def test_rows_that_group_nothing_are_not_written() -> None:
    assert str(mathml(r"{{x}} = \frac{{a + b}}{{c}}")) == (
        '<math display="block"><mi>x</mi><mo>=</mo>'
        "<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mi>c</mi></mfrac></math>"
    )
    assert "<mrow>" in str(mathml(r"x_{a + b}")), "two arguments, one of them a row"


def test_alignments_have_one_row_per_line_and_no_stray_marks() -> None:
    found = elements(r"\begin{aligned} a &= b \\ c &= d \end{aligned}")
    assert [tag for tag, _ in found].count("mtr") == 2
    assert not [value for _, value in found if "&" in value]


@pytest.mark.parametrize("tex", [r"\frac{1}", r"\left( x", "a & b", r"x_", r"\nosuchcommand x"])
def test_latex_that_cannot_be_set_is_an_error(tex: str) -> None:
    with pytest.raises(MathError):
        mathml(tex)


def test_hostile_latex_gives_nothing_but_mathml() -> None:
    root = ElementTree.fromstring(str(mathml(r"</math><script onload=x>x</script>")))
    assert {node.tag for node in root.iter()} <= ELEMENTS
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on")]


def test_every_equation_of_the_collection_can_be_set() -> None:
    for ident, record in Collection(ROOT).records().items():
        for number, equation in record.equations.items():
            made = ElementTree.fromstring(str(mathml(equation.tex)))
            assert "".join(made.itertext()).strip(), f"{ident}: {number}"
        said = [words for one in record.algorithms.values() for words in (one.says, *one.steps)]
        said += [words for one in record.symbols for words in (f"${one.paper}$", one.says)]
        for parts in (words.split("$") for words in said):
            assert len(parts) % 2, f"{ident}: {parts}"
            assert all(mathml(part, display=False) for part in parts[1::2]), f"{ident}: {parts}"


def source(code: str) -> MethodSource:
    return MethodSource("toy", "implementations/toy.py", code)


CODE = '''def f(x):
    """Doc."""
    a = x + 1

    y = (
        a
        * 2
    )  # Eq. 3
    b = 1
    return y + b


def g(x):
    # Eq. 3
    return x
'''


def test_excerpt_has_the_signature_and_marks_the_whole_statement_without_the_docstring() -> None:
    first, second = source(CODE).excerpts("3")
    assert (first.inside, first.lines, sorted(first.marked)) == ("f", (1, 3, 4, 5, 6, 7, 8, 9, 10), [5, 6, 7, 8])
    assert (second.inside, second.lines, sorted(second.marked)) == ("g", (13, 14, 15), [14, 15])


def test_excerpt_of_a_long_function_is_its_signature_and_what_is_near_each_marked_line() -> None:
    body = "\n".join(f"    x = x + {n}" + ("  # Eq. 1" if n in (20, 24, 36) else "") for n in range(40))
    (found,) = source(f"def f(\n    x,\n):\n{body}\n    return x\n").excerpts("1")
    assert found.lines == (1, 2, 3, *range(21, 32), *range(37, 44))
    assert found.marked == {24, 28, 40}


NESTED = '''import torch


class A:
    @once
    def f(self, x):
        """One line.

        And more.
        """

        def g(y):
            """Inner."""
            return y + x  # Eq. 1

        z = g(x)  # Eq. 1
        return z


Z = 1  # Eq. 1
'''


def test_one_function_is_one_excerpt_and_what_stands_in_none_is_shown_with_what_is_near() -> None:
    found, outside = source(NESTED).excerpts("1")
    assert (found.inside, sorted(found.marked)) == ("A.f", [14, 16])
    assert found.lines == (6, 12, 14, 15, 16, 17)
    assert (outside.inside, outside.lines) == ("", (17, 18, 19, 20))


def lines_of(html: str) -> list[str]:
    """The text of each line of shown code."""
    return ["".join(ElementTree.fromstring(f"<pre>{line}</pre>").itertext()) for line in html.split("\n")]


def test_shown_code_says_where_lines_are_left_out_and_counts_on_as_in_the_file() -> None:
    html = str(source(NESTED).html(source(NESTED).excerpts("1")[0], lambda module, name: None))
    assert lines_of(html) == [
        "    def f(self, x):", "        ...", "        def g(y):", "            ...",
        "            return y + x  # Eq. 1", "", "        z = g(x)  # Eq. 1", "        return z",
    ]  # fmt: skip
    assert re.findall(r"counter-set:line (\d+)", html) == ["12", "14"]


def test_the_function_of_an_algorithm_is_whole_and_its_docstring_one_line() -> None:
    code = NESTED.replace("def f(self, x):", "def f(self, x):  # Alg. 2")
    (found,) = source(code).whole("2")
    assert (found.inside, found.lines) == ("A.f", (5, 6, 7, *range(11, 18)))
    shown = lines_of(str(source(code).html(found, lambda module, name: None)))
    assert shown[:3] == ["    @once", "    def f(self, x):  # Alg. 2", '        """One line. ..."""']
    assert textwrap.dedent("\n".join(shown)) in (
        textwrap.dedent("\n".join(code.split("\n")[4:17])).replace("\n\n    And more.\n    ", " ...")
    )
    assert source(NESTED).whole("2") == []


IMPORTING = """from implementations import other
from implementations.base import Base, one as uno
from elsewhere import Base as Thing


def f(x: Base, uno=uno):
    é, text = other.go(Base.y), "Base"  # Base
    return [uno for Base in x], uno, f"{Base}"


def g(other):
    return other.go(uno), lambda Base: Base
"""


def test_imported_names_are_links_where_they_mean_what_was_imported() -> None:
    found = source(IMPORTING)

    def address(module: str, name: str) -> str | None:
        return {"implementations.base": f"b#{name}", "implementations.other": "o" + f"#{name}" * bool(name)}.get(
            module, "o" if name == "other" else None
        )

    links = {
        n: re.findall('<a href="(.*?)">(.*?)</a>', str(found.line(n, address, marked=False)))
        for n in range(1, len(found.lines) + 1)
    }
    assert {n: said for n, said in links.items() if said} == {
        1: [("o", "other")],
        2: [("b#Base", "Base"), ("b#one", "one")],
        6: [("b#Base", "Base"), ("b#one", "uno")],
        7: [("o#go", "other.go"), ("b#Base", "Base")],
        12: [("b#one", "uno")],
    }
    assert lines_of("\n".join(str(found.line(n, address, marked=False)) for n in links)) == found.rows[:-1]


def test_a_long_line_hangs_below_its_own_indentation() -> None:
    short, long = "        x = 1", "            return " + "x + " * 20 + "1"
    found = source(f"def f(x):\n    if x:\n{short}\n        if x:\n{long}\n")
    classes = [
        re.findall('^<span class="(i.)">', str(found.line(n, lambda m, a: None, marked=False))) for n in (1, 3, 5)
    ]
    assert classes == [[], [], ["i3"]]


def test_latex_relations_stand_apart() -> None:
    assert ("mo", "∼") in elements(r"x \sim q")


def test_highlighted_lines_are_the_code() -> None:
    path = ROOT / "implementations" / "ddpm.py"
    found = MethodSource.read(ROOT, "ddpm")
    shown = [ElementTree.fromstring(f"<pre>{line}</pre>") for line in found.lines]
    assert ["".join(line.itertext()) for line in shown] == path.read_text("utf-8").rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.498712, "0.4987"), (12.0, "12"), (1e-9, "1e-9"), (123456.0, "1.235e+5"), (-0.5, "-0.5")]
)
def test_figures_have_four_digits(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_equation_numbers_sort_as_people_count() -> None:
    assert sorted(["10", "2", "A.1", "2b"], key=natural) == ["2", "2b", "10", "A.1"]


def test_tables_of_a_benchmark_whatever_they_are_called(tmp_path: Path) -> None:
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "odd_one.yaml").write_text(
        "what: seconds\nbar: 0.8\nversions: {python: 3.11.7}\nmissing: []\n"
        "things: [{name: ours, time: {median: 0.5, least: 0.4, most: 12345}, fits: true}, "
        "{name: theirs, size: 12000}]\n"
    )
    problems: list[str] = []
    (found,) = read_proofs(tmp_path, problems).benchmarks
    assert (found.title, found.what, found.facts) == ("odd one", "seconds", {"bar": "0.8", "versions": "python 3.11.7"})
    (table,) = found.tables
    assert (table.name, table.columns) == ("things", ["name", "time", "fits", "size"])
    assert table.rows == [["ours", "0.5 (0.4 to 12,345)", "yes", ""], ["theirs", "", "", "12,000"]]
    assert table.figures == {"time", "fits", "size"}
    assert problems == []


def test_a_collection_without_benchmarks_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_proofs(tmp_path, []).benchmarks == []
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "broken.yaml").write_text("rows: [{a: 1}")
    problems: list[str] = []
    assert read_proofs(tmp_path, problems).benchmarks == []
    assert [problem.split(":")[0] for problem in problems] == ["broken.yaml"]
