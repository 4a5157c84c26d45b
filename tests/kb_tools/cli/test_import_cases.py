"""Small files as people really have them, and what must become of each: nothing vanishes, nothing is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from kb_tools.records.store import Collection


class Imported(NamedTuple):
    """What an import did: exit code, its rows, and the records that are there afterwards, by title."""

    code: int
    rows: list[dict[str, Any]]
    by_title: dict[str, dict[str, Any]]
    said: str

    def remarks(self) -> str:
        return " | ".join(remark for row in self.rows for remark in row["remarks"])


@pytest.fixture
def shelf(make) -> Collection:
    return make()


@pytest.fixture
def take(kb, shelf, tmp_path) -> Callable[..., Imported]:
    """take("refs.bib", text) imports it into an empty collection, which has no problems then but for absent authors."""

    def run(name: str, text: str, *options: str) -> Imported:
        file = tmp_path / name
        file.write_bytes(text.encode("utf-8"))
        outcome = kb(shelf, "import", str(file), "--json", *options)
        rows = json.loads(outcome.out)["data"] if outcome.out else []
        problems = json.loads(kb(shelf, "check", "--json").out)["data"]
        assert {problem["code"] for problem in problems} <= {"stub"}, problems
        return Imported(outcome.code, rows, {one["title"]: one for one in shelf.index().records()}, outcome.err)

    return run


def test_an_address_is_its_query_too(take):
    found = take(
        "refs.bib",
        """@inproceedings{one, title={First Work at a Review Site}, author={Roe, Ann}, year={2021},
  url={https://openreview.net/forum?id=AAAA1111}}
@inproceedings{two, title={Second and Unrelated Work There}, author={Doe, Bob}, year={2022},
  url={https://openreview.net/forum?id=BBBB2222}}
""",
    )
    assert (found.code, len(found.by_title)) == (0, 2)
    assert [row["status"] for row in found.rows] == ["added", "added"]


def test_a_shared_repository_is_no_identity(take):
    found = take(
        "list.md",
        """## Solvers

**Alpha Solver: A Fast Method for Sampling** \\
*Ann Roe* \\
NeurIPS 2022. [[Paper](https://arxiv.org/abs/2206.00001)] [[Github](https://github.com/example/solver)]

**Beta Guide: Conditional Sampling Made Cheap** \\
*Bob Doe* \\
arXiv 2022. [[Paper](https://arxiv.org/abs/2211.00002)] [[Github](https://github.com/example/solver)]
""",
    )
    assert {title: one["arxiv"] for title, one in found.by_title.items()} == {
        "Alpha Solver: A Fast Method for Sampling": "2206.00001",
        "Beta Guide: Conditional Sampling Made Cheap": "2211.00002",
    }


def test_chapters_of_one_book_share_its_doi(take):
    found = take(
        "refs.bib",
        """@incollection{a, title={Chapter on Tides and Harbours}, author={Roe, Ann}, year={2012}, doi={10.1000/book.1}}
@incollection{b, title={Chapter on Storms and Lighthouses}, author={Doe, Bob}, year={2012}, doi={10.1000/book.1}}
""",
    )
    assert len(found.by_title) == 2
    assert "left out, it is that of roe-2012-chapter: the DOI 10.1000/book.1" in found.remarks()


def test_a_percent_sign_is_text(take):
    found = take(
        "refs.bib",
        r"""@article{a, title={Saving 50% of the Compute of Samplers}, author={Roe, Ann}, year={2020},
  abstract={We reach 95% accuracy where others reach 90\%. The second sentence must survive, R&D too.}}
""",
    )
    (record,) = found.by_title.values()
    assert record["title"] == "Saving 50% of the Compute of Samplers"
    assert record["abstract"] == (
        "We reach 95% accuracy where others reach 90%. The second sentence must survive, R&D too."
    )


def test_pieces_are_joined(take):
    found = take(
        "refs.bib",
        """@string{proc = "Proceedings of the Workshop"}
@string{me = "Ann Roe"}
@inproceedings{a, title={Macros Joined by a Hash}, author = me # " and Bob Doe", booktitle = proc # " 33", year=2020,
  month = "12~" # dec}
""",
    )
    (record,) = found.by_title.values()
    assert record["authors"] == ["Ann Roe", "Bob Doe"]
    assert record["venue"] == "Proceedings of the Workshop 33"


@pytest.mark.parametrize(
    "field",
    [
        r"howpublished={\href {https://example.org/pkg} {\texttt{https://example.org/pkg}}}",
        r"booktitle={\href {https://example.org/{a}} {\texttt{b}}}",
        "booktitle={" + "{" * 2000 + "deep" + "}" * 2000 + "}",
    ],
)
def test_a_field_that_the_converter_cannot_read_costs_one_remark(take, field):
    found = take(
        "refs.bib",
        f"@misc{{a, title={{A Package of Groups}}, author={{Roe, Ann}}, year={{2022}}, {field}}}\n"
        "@misc{b, title={Another Work of the Same File}, author={Doe, Bob}, year={2021}}\n",
    )
    assert found.code == 0
    assert set(found.by_title) == {"A Package of Groups", "Another Work of the Same File"}


def test_tabs_are_spaces(take):
    found = take(
        "refs.bib",
        "@article{a, title={An Abstract\tWith Tabs}, author={Roe,\tAnn}, year={2021},\n"
        "  abstract={First line of it,\n\t\tsecond line of it.\n\n\tThird.}}\n",
    )
    (record,) = found.by_title.values()
    assert record["title"] == "An Abstract With Tabs"
    assert record["abstract"] == "First line of it,\nsecond line of it.\nThird."


def test_a_child_has_what_its_parents_have(take):
    found = take(
        "refs.bib",
        """@inproceedings{child, crossref={Parent}, title={A Paper Inside Proceedings}, author={Roe, Ann}, pages={1--9}}
@proceedings{parent, title={Proceedings of the Tenth Workshop}, booktitle={Proceedings of the Tenth Workshop},
  xdata={shared}, editor={Doe, Bob}}
@xdata{shared, year={2011}, crossref={child}}
@misc{orphan, crossref={nobody}, title={An Orphan}, author={Poe, Cy}}
""",
    )
    child = found.by_title["A Paper Inside Proceedings"]
    assert (child["year"], child["venue"]) == (2011, "Proceedings of the Tenth Workshop")
    assert "crossref names nobody, which this file does not have" in found.remarks()


def test_a_missing_comma_is_put_in(take):
    found = take(
        "refs.bib",
        """@article{a, title={A Title Without Its Comma}
  author={Roe, Ann},
  year={2020}}
@article{b, title={The Next Work}, author={Doe, Bob}, year={2021} journal={A Journal}}
""",
    )
    assert found.by_title["A Title Without Its Comma"]["authors"] == ["Ann Roe"]
    assert found.by_title["The Next Work"]["venue"] == "A Journal"
    assert "a comma was missing before author" in found.remarks()
    assert "a comma was missing before journal" in found.remarks()


def test_one_bad_entry_costs_itself(take):
    found = take(
        "refs.bib",
        """@article{good1, title={The First Good Work}, author={Roe, Ann}, year={2020}}
@article{bad, title={A Work With Two Commas},, author={Poe, Cy}, year={2020}}
@article{open, title={A Work That Is Never {Closed}, author={Poe, Cy}, year={2020}
@article{surplus, title={A Work With a Brace Too Many}}, author={Poe, Cy}, year={2020}}
@article{good2, title={The Second Good Work}, author={Doe, Bob}, year={2021}}
""",
    )
    assert found.code == 5
    assert {"The First Good Work", "The Second Good Work"} <= set(found.by_title)
    assert [row["line"] for row in found.rows if row["status"] == "refused"] == [2, 3, 4]
    assert {row["file"].rpartition("/")[2] for row in found.rows} == {"refs.bib"}


def test_a_macro_cannot_grow_without_end(take):
    lines = ["@string{m0 = {aaaaaaaaaa}}"]
    lines += [f"@string{{m{n} = m{n - 1} # m{n - 1} # m{n - 1} # m{n - 1}}}" for n in range(1, 12)]
    found = take("refs.bib", "\n".join([*lines, "@misc{a, title={Fine}}", "@misc{b, title = m11}"]))
    assert found.code == 5
    assert "Fine" in found.by_title
    assert "grows longer" in found.remarks()


def test_an_impossible_arxiv_id_of_an_export_refuses_its_record_alone(take, record):
    records = [record("a", title="Sound"), record("b", title="Of no month", arxiv="2013.00001")]
    found = take("export.json", json.dumps({"schema_version": 1, "data": records}))
    assert (found.code, set(found.by_title)) == (5, {"Sound"})
    assert "can be no arXiv id: it names the month 13" in found.remarks()


def test_an_arxiv_id_is_seen_wherever_it_stands(take):
    places = {
        "One": "journal={arXiv preprint arXiv:2006.00001, 2020}",
        "Two": "journal={arXiv preprint arXiv:2006.00002.}",
        "Three": "eprint={2006.00003 [cs.LG]}, archiveprefix={arXiv}",
        "Four": "note={arXiv preprint arXiv:2006.00004}",
        "Five": r"howpublished={\url{https://arxiv.org/abs/2006.00005}}",
        "Six": "number={arXiv:2006.00006}, publisher={arXiv}",
        "Seven": r"url={\url{https://arxiv.org/abs/2006.00007}}",
        "Eight": "booktitle={A Conference}, pdf={https://arxiv.org/pdf/2006.00008.pdf}",
        "Nine": "booktitle={A Conference}, arxiv={2006.00009}",
        "Ten": "eprint={9711010}, archiveprefix={arXiv}, primaryclass={hep-th}",
        "Eleven": "journal={CoRR}, ee={http://arxiv.org/abs/2006.00011}",
        "Twelve": "journal={CoRR}, volume={abs/2006.00012}",
        "Thirteen": "journal={CoRR}, biburl={https://dblp.org/rec/journals/corr/abs-2006-00013.bib}",
        "Fourteen": "doi={10.48550/ARXIV.2006.00014}",
        "Fifteen": "eprinttype={arxiv}, eprint={arXiv:2006.00015v2}",
        "Sixteen": "archive={arXiv}, archive_location={2006.00016}",
        "None": "note={It goes on where an earlier paper, arXiv:2006.00099, had left the matter open for years}",
        "Never": "eprint={2013.00012}, archiveprefix={arXiv}",
        "Other": "eprint={2006.00018}, archiveprefix={HAL}",
    }
    text = "".join(
        f"@article{{p{n}, title={{Place {name}}}, author={{Roe, Ann}}, year={{2020}}, {field}}}\n"
        for n, (name, field) in enumerate(places.items())
    )
    found = take("refs.bib", text)
    seen = {title.removeprefix("Place "): one.get("arxiv") for title, one in found.by_title.items()}
    expected = {name: f"2006.{n:05}" for n, name in enumerate(places, 1)}
    assert seen == expected | {"Ten": "hep-th/9711010", "None": None, "Never": None, "Other": None}
    assert "2013.00012 can be no arXiv id: it names the month 13" in found.remarks()


@pytest.mark.parametrize(
    ("field", "authors", "remark"),
    [
        ("Roe, Ann & Doe, Bob", ["Ann Roe", "Bob Doe"], ""),
        (r"Roe, Ann \& Doe, Bob", ["Ann Roe", "Bob Doe"], ""),
        ("Roe, Ann; Doe, Bob", ["Ann Roe", "Bob Doe"], ""),
        ("Ann Roe, Bob Doe, Cy Poe", ["Ann Roe", "Bob Doe", "Cy Poe"], ""),
        ("Ann Roe, Bob Doe, and Cy Poe", ["Ann Roe", "Bob Doe", "Cy Poe"], ""),
        ("Roe, A., Doe, B., Poe, C. D.", ["A. Roe", "B. Doe", "C. D. Poe"], ""),
        ("Roe, Ann and ", ["Ann Roe"], ""),
        ("Roe, Ann et al.", ["Ann Roe"], "not all authors are named"),
        ("Roe, Ann and others", ["Ann Roe"], "not all authors are named"),
        ("Roe, Ann, et al", ["Ann Roe"], "not all authors are named"),
        ("Garc&iacute;a, Jos&eacute;", ["José García"], ""),
        ("{Barnes & Noble; Sons}", ["Barnes & Noble; Sons"], ""),
        ('van den Oord, A{\\"a}ron and Doe, Jr., John', ["Aäron van den Oord", "John Doe Jr."], ""),
        ("García Márquez, Gabriel José", ["Gabriel José García Márquez"], "one person or two"),
    ],
)
def test_names(take, field, authors, remark):
    found = take("refs.bib", f"@article{{n, title={{Entities &amp; Names}}, author={{{field}}}, year={{2020}}}}\n")
    (record,) = found.by_title.values()
    assert record["authors"] == authors
    assert record["title"] == "Entities & Names"
    assert remark in found.remarks()
    assert bool(found.remarks()) == bool(remark)


def test_a_reserved_id_is_given_to_nobody(take, kb, shelf, tmp_path):
    found = take(
        "refs.bib",
        """@misc{a, ids={topics}, title={A Work That Wants a Reserved Id}, author={Roe, Ann}, year={2020}}
@misc{b, ids={outside}, entrysubtype={paper}, title={A Work Beside It}, author={Doe, Bob}, year={2020}}
""",
    )
    assert found.code == 0
    assert {one["id"] for one in found.by_title.values()} == {"roe-2020-work", "doe-2020-work"}


def test_a_lost_letter_costs_no_work(take):
    found = take(
        "refs.bib",
        "@article{a, title={Work With a Letter Lost}, author={Roe, Ann}, year={1990},\n"
        "  abstract={Measured at 20\ufffdC in\u200b an older\x07 file.}}\n",
    )
    (record,) = found.by_title.values()
    assert record["abstract"] == "Measured at 20?C in an older file."
    assert "a letter of the abstract was lost" in found.remarks()


def test_formulas_stay_formulas(take, kb, shelf, tmp_path):
    title = r"On $\alpha$-Divergence and $O(n^2)$ Bounds, for \$5"
    found = take("refs.bib", f"@article{{a, title={{{title}}}, author={{Roe, Ann}}, year={{2020}}}}\n")
    (record,) = found.by_title.values()
    assert record["title"] == r"On $\alpha$-Divergence and $O(n^2)$ Bounds, for $5"
    written = kb(shelf, "export", "--format", "bibtex").out
    assert title in written


def test_strict_adds_nothing_where_anything_is_lost(take, kb, shelf, tmp_path):
    text = "@misc{a, title={Fine}}\n@misc{b, title={Names}, author={Roe, Ann and others}}\n"
    found = take("refs.bib", text, "--strict")
    assert (found.code, found.by_title) == (5, {})
    assert "refs.bib:2: incomplete: not all authors are named" in found.said
    found = take("refs.bib", text)
    assert (found.code, set(found.by_title)) == (0, {"Fine", "Names"})
    assert "2 added, 0 exist already, 1 incomplete" in found.said


def test_a_file_of_another_encoding_is_read_and_that_is_said(kb, shelf, tmp_path):
    file = tmp_path / "refs.bib"
    file.write_bytes("@misc{a, title={Étude}}".encode("latin-1"))
    outcome = kb(shelf, "import", str(file))
    assert "it was read as cp1252" in outcome.err
    file.write_bytes("@misc{b, title={Łódź}}".encode("iso8859-2"))
    assert kb(shelf, "import", str(file), "--encoding", "iso8859-2").code == 0
    file.write_bytes("@misc{c, title={Ωmega}}".encode("utf-16"))
    assert kb(shelf, "import", str(file)).code == 0
    assert {one["title"] for one in shelf.index().records()} == {"Étude", "Łódź", "Ωmega"}
    assert kb(shelf, "import", str(file), "--encoding", "nonsense").code == 5


def test_two_people_may_have_one_name(kb, make, record):
    shelf = make(record("two", authors=["Wei Wang", "Ann Roe", "Wei Wang"]))
    assert kb(shelf, "check").code == 0


def arxiv_of(found: Imported) -> dict[str, str | None]:
    return {title: one.get("arxiv") for title, one in found.by_title.items()}


def test_items_by_number_in_bold_quoted_and_bare(take):
    found = take(
        "list.md",
        """# A list

1. [A Numbered Paper](https://arxiv.org/abs/2006.00001)
2. **[A Bold Paper](https://arxiv.org/abs/2006.00002)**, Roe et al., 2020
- **[A Bold Bullet](https://arxiv.org/abs/2006.00003)**
- Roe et al., "A Quoted Paper", NeurIPS 2020. [[paper](https://arxiv.org/abs/2006.00004)]
- A Bare Title ([arXiv](https://arxiv.org/abs/2006.00005))
> - [A Paper in a Quotation](https://arxiv.org/abs/2006.00006)

- Samplers
  - [A Nested Paper](https://arxiv.org/abs/2006.00007)
    which is good

    and long
- [A Paper by Reference][six]

<ul>
<li><a href="https://arxiv.org/abs/2006.00009">A Paper of a Web Page</a></li>
</ul>

[six]: https://arxiv.org/abs/2006.00008
""",
    )
    assert found.code == 0
    assert arxiv_of(found) == {
        "A Numbered Paper": "2006.00001",
        "A Bold Paper": "2006.00002",
        "A Bold Bullet": "2006.00003",
        "A Quoted Paper": "2006.00004",
        "A Bare Title": "2006.00005",
        "A Paper in a Quotation": "2006.00006",
        "A Nested Paper": "2006.00007",
        "A Paper by Reference": "2006.00008",
        "A Paper of a Web Page": "2006.00009",
    }
    assert found.by_title["A Quoted Paper"]["authors"] == ["Roe"]
    assert found.by_title["A Nested Paper"]["summary"] == "which is good\nand long"
    assert not [row for row in found.rows if row["status"] == "not read"]


def test_rows_of_a_table(take):
    found = take(
        "list.md",
        """# A table

| Abbr. | Title | Venue & Year | Authors | Code |
|:------|:-----:|:------------:|---------|:----:|
|A| [**Alpha: A Tabular Paper**](https://arxiv.org/abs/2206.00001) | KDD 2022 | Ann Roe, Bob Doe |[code](https://a.b)|
| BETA | Beta: Another Tabular Paper | ICLR 2023 | | [paper](https://arxiv.org/abs/2306.00002) |
| none | | | | [code](https://github.com/example/none) |
""",
    )
    assert arxiv_of(found) == {"Alpha: A Tabular Paper": "2206.00001", "Beta: Another Tabular Paper": "2306.00002"}
    alpha = found.by_title["Alpha: A Tabular Paper"]
    assert (alpha["venue"], alpha["year"], alpha["authors"]) == ("KDD 2022", 2022, ["Ann Roe", "Bob Doe"])
    assert [(row["status"], row["line"]) for row in found.rows][2:] == [("not read", 7)]


def test_links_in_paragraphs_and_what_is_not_read_is_named(take):
    found = take(
        "list.md",
        """## Efficient sampling

[A Paper on a Line of Its Own](https://arxiv.org/abs/2105.00001)

[A Paper Whose Title
Runs over Two Lines](https://arxiv.org/abs/2206.00002)

This list goes back to [another](https://example.org/list), which is older.

- [x] https://arxiv.org/abs/2010.00001
- [ ] [[Roe2020]] A Note of Somebody https://arxiv.org/abs/2006.00002
- [![arXiv](https://img.shields.io/badge/arXiv-red)](https://arxiv.org/abs/2006.00003) A Badge Before the Title
- [Contributing](CONTRIBUTING.md)

```
https://arxiv.org/abs/2006.00077
```
""",
    )
    assert arxiv_of(found) == {
        "A Paper on a Line of Its Own": "2105.00001",
        "A Paper Whose Title Runs over Two Lines": "2206.00002",
        "A Note of Somebody": "2006.00002",
        "A Badge Before the Title": "2006.00003",
    }
    assert [row["line"] for row in found.rows if row["status"] == "not read"] == [8, 10, 15]
    assert "3 not read" in found.said


@pytest.mark.parametrize(
    "text",
    ["*a " * 20_000, "*" * 40_000, "- [ ] " + "*" * 40_000, "- [ ] **" + "*a `" * 20_000, "[" * 40_000, "[a](" * 10_000,
     "| a " * 5_000 + "\n" + "|-" * 5_000, "> " * 5_000, "- " * 5_000, "<a href=" * 5_000],
)  # fmt: skip
def test_no_line_of_a_list_costs_more_than_its_length(text):
    from time import process_time

    from kb_tools.exchange import lists

    began = process_time()
    lists.loads(text)
    assert process_time() - began < 3


def test_what_a_thesis_cites_comes_back(take, kb, shelf):
    entry = """@inproceedings{Roe:2020alpha, title={A Work Cited in a Thesis}, author={Roe, Ann},
  booktitle={A Conference}, pages={1--9}, volume=3, publisher={A & B}, editor={Doe, Bob and Poe, Cy}, month=jun,
  year={2020},
  keywords={basics, guidance}, note={my own note}}
"""
    found = take("refs.bib", entry)
    assert found.remarks() == "not kept, no topic is called so: guidance"
    (record,) = found.by_title.values()
    assert record["key"] == "Roe:2020alpha"
    assert "A Work Cited in a Thesis" in kb(shelf, "show", "Roe:2020alpha").out
    written = kb(shelf, "export", "--format", "bibtex").out
    assert written.startswith("@inproceedings{Roe:2020alpha,")
    for line in (
        "booktitle = {A Conference}", "pages = {1--9}", "volume = {3}", "publisher = {A \\& B}",
        "editor = {Bob Doe and Cy Poe}", "month = {June}", "note = {my own note}", "keywords = {basics}",
    ):  # fmt: skip
        assert line in written
    again = take(
        "again.bib", entry.replace("A Work Cited in a Thesis", "Something Else").replace("Roe, Ann", "Poe, Cy")
    )
    assert f"not kept, it is that of {record['id']}: the citation key Roe:2020alpha" in again.remarks()


ZOTERO = {
    "id": "roe2020alpha",
    "type": "paper-conference",
    "title": "A Work From a Reference Manager",
    "author": [{"family": "Roe", "given": "Ann"}, {"literal": "The Example Team"}],
    "issued": {"date-parts": [[2020, 6]]},
    "container-title": "A Conference",
    "DOI": "10.1000/xyz",
    "archive": "arXiv",
    "archive_location": "2006.00001",
    "page": "1-9",
    "shortTitle": "A Work",
}


def test_csl_json_is_read_and_comes_back(take, kb, shelf):
    found = take("zotero.json", json.dumps([ZOTERO, {"id": "none"}]))
    assert found.code == 5
    assert [row["status"] for row in found.rows] == ["incomplete", "refused"]
    (record,) = found.by_title.values()
    assert record["authors"] == ["Ann Roe", "The Example Team"]
    assert (record["year"], record["venue"], record["doi"]) == (2020, "A Conference", "10.1000/xyz")
    assert (record["arxiv"], record["key"]) == ("2006.00001", "roe2020alpha")
    assert found.remarks() == "not kept: shortTitle | item 2 has no title"
    (item,) = json.loads(kb(shelf, "export", "--format", "csl-json").out)
    for name, value in ZOTERO.items():
        assert name == "shortTitle" or item[name] == value or name == "issued"
    assert item["issued"] == {"date-parts": [[2020]]}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ris_is_read(take, end):
    lines = """TY  - CONF
TI  - A Work From a Publisher
AU  - Roe, Ann
AU  - van den Doe, Bob
PY  - 2020/06//
T2  - A Conference
SP  - 1
EP  - 9
DO  - 10.1000/xyz
ER  -

TY  - JOUR
TI  - Another
AU  - Poe, Cy, Jr.
UR  - https://arxiv.org/abs/2006.00001v2
ER  - """
    found = take("publisher.ris", lines.replace("\n", end) + end)
    assert found.code == 0
    first, second = found.by_title["A Work From a Publisher"], found.by_title["Another"]
    assert first["authors"] == ["Ann Roe", "Bob van den Doe"]
    assert (first["year"], first["venue"], first["doi"]) == (2020, "A Conference", "10.1000/xyz")
    assert first["publication"] == {"type": "inproceedings", "pages": "1-9"}
    assert (second["arxiv"], second["year"], second["authors"]) == ("2006.00001", 2020, ["Cy Poe Jr."])
