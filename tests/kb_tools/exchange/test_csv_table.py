"""CSV in and out: our own tables come back, those of other programs are understood, a bad row costs itself."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from kb_tools.errors import InvalidRecordError
from kb_tools.exchange import whole
from kb_tools.exchange.cleaning import clean
from kb_tools.exchange.csv_table import COLUMNS, dumps, loads

RECORDS: dict[str, dict[str, Any]] = {
    "a": {
        "id": "a",
        "kind": "paper",
        "title": '=A, "quoted"; x',
        "authors": ["Ann Roe", "Smith; Sons", "B C"],
        "year": 2020,
        "arxiv": "2006.11230",
        "topics": ["one", "two"],
        "worth_reading": 2,
        "status": "read",
        "why": "'-1 is less.",
    },
    "b": {"id": "b", "kind": "blog", "title": "+1", "status": "unread", "links": {"home": "https://x.org/a"}},
}


def fields(text: str) -> list[dict[str, Any]]:
    found = loads(text, "x.csv")
    assert found.unread == []
    return [work.fields for work in found.works]


def test_our_own_table_is_plain_csv_and_comes_back():
    text = dumps(RECORDS)
    first, second = csv.DictReader(io.StringIO(text))
    assert tuple(first) == COLUMNS
    assert (first["title"], first["why"], second["title"]) == ('\'=A, "quoted"; x', "''-1 is less.", "'+1")
    assert (first["topics"], first["year"], first["url"]) == ("one; two", "2020", "https://arxiv.org/abs/2006.11230")
    assert fields(text) == list(RECORDS.values())


@pytest.mark.parametrize(
    ("written", "encoding"), [("utf-8-sig", "utf-8"), ("utf-8", "utf-8")], ids=["with a byte order mark", "without"]
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_a_spreadsheet_makes_of_it_still_comes_back(written: str, encoding: str, ending: str, delimiter: str):
    stream = io.StringIO()
    rows = csv.reader(io.StringIO(dumps(RECORDS)))
    csv.writer(stream, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows(rows)
    assert fields(stream.getvalue().encode(written).decode(encoding)) == list(RECORDS.values())


def test_what_somebody_changes_in_a_cell_stays_changed():
    rows = list(csv.DictReader(io.StringIO(dumps(RECORDS))))
    rows[0] |= {"worth_reading": "3", "topics": "two", "arxiv": "2006.1123"}  # a spreadsheet's number
    rows[1] |= {"title": "Another", "worth_reading": "1"}
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    first, second = fields(stream.getvalue())
    assert first == RECORDS["a"] | {"worth_reading": 3, "topics": ["two"]}
    assert second == RECORDS["b"] | {"title": "Another", "worth_reading": 1}


def test_a_row_written_under_ours_is_a_work_of_its_own():
    row = dict.fromkeys(COLUMNS, "") | {"title": "Mine", "authors": "Ann Roe; B C", "worth_reading": "3", "why": "Good"}
    works = loads(dumps(RECORDS) + ",".join(row.values()) + "\n", "x.csv").works
    assert [work.ours for work in works] == [True, True, False]
    assert works[2].fields == {
        "kind": "paper", "title": "Mine", "authors": ["Ann Roe", "B C"], "worth_reading": 3, "why": "Good",
    }  # fmt: skip


ZOTERO = """"Key","Item Type","Publication Year","Author","Title","Publication Title","ISBN","ISSN","DOI","Url",\
"Abstract Note","Date","Date Added","Date Modified","Access Date","Pages","Issue","Volume","Publisher","Archive",\
"Archive Location","Library Catalog","Extra","Notes","Manual Tags","Editor","Type","Language"
"ABCD2345","preprint","2020","Roe, Ann; van den Oord, Aäron; OpenAI","On <i>steps</i>","","","",\
"10.48550/arXiv.2006.11239","http://arxiv.org/abs/2006.11239","Short.","2020-12-16","2021-01-01 10:00:00",\
"2021-01-02 10:00:00","2021-01-01","","","","arXiv","","","arXiv.org","arXiv:2006.11239 [cs, stat]
Citation Key: roe2020steps","","sampling; diffusion","","",""
"EFGH6789","conferencePaper","2019","Doe, Bob","Second","Proceedings of Things","","","10.1000/xyz",\
"https://example.org/p","","2019-06-01","","","","12–19","","97","","","","","Cited 5 times","","","Roe, Ann; Poe, Cy",\
"","en"
"""


def test_a_library_of_zotero():
    first, second = (clean(work) for work in loads(ZOTERO, "x.csv").works)
    assert first.fields == {
        "kind": "paper",
        "title": "On steps",
        "authors": ["Ann Roe", "Aäron van den Oord", "OpenAI"],
        "year": 2020,
        "venue": "arXiv",
        "publication": {"publisher": "arXiv"},
        "key": "roe2020steps",
        "arxiv": "2006.11239",
        "doi": "10.48550/arxiv.2006.11239",
        "topics": ["sampling", "diffusion"],
        "abstract": "Short.",
    }
    assert (first.line, first.remarks) == (2, ())
    assert second.fields == {
        "kind": "paper",
        "title": "Second",
        "authors": ["Bob Doe"],
        "year": 2019,
        "venue": "Proceedings of Things",
        "publication": {"volume": "97", "pages": "12-19", "editor": "Ann Roe and Cy Poe", "type": "inproceedings"},
        "doi": "10.1000/xyz",
        "links": {"home": "https://example.org/p"},
    }
    assert (second.line, second.remarks) == (4, ("not kept: extra, language",))


SCOPUS = """Authors,Author full names,Author(s) ID,Title,Year,Source title,Volume,Issue,Page start,Page end,\
Page count,Cited by,DOI,Link,Abstract,Author Keywords,Document Type,Publication Stage,Open Access,Source,EID
Roe A.-B.; van Doe C.,"Roe, Ann-Bea (57210000001); van Doe, Carl (57210000002)",57210000001; 57210000002,First,2021,\
Journal of Steps,7,2,100,120,20,33,10.1000/abc,\
https://www.scopus.com/1,What.,noise; steps,Article,Final,,Scopus,2-s2.0-1
"Roe A.-B., Doe C., Poe D.E.",,,Second,2020,,,,,,,,,,,,Conference Paper,Final,,Scopus,2-s2.0-2
"""


def test_a_list_of_scopus():
    first, second = loads(SCOPUS, "x.csv").works
    assert first.fields == {
        "kind": "paper",
        "title": "First",
        "authors": ["Ann-Bea Roe", "Carl van Doe"],
        "year": 2021,
        "venue": "Journal of Steps",
        "publication": {"volume": "7", "number": "2", "pages": "100-120", "type": "article"},
        "doi": "10.1000/abc",
        "links": {"home": "https://www.scopus.com/1"},
        "topics": ["noise", "steps"],
        "abstract": "What.",
    }
    assert second.fields["authors"] == ["A.-B. Roe", "C. Doe", "D.E. Poe"]
    assert "venue" not in second.fields and (first.remarks, second.remarks) == ((), ())


PERISH = """Cites,Authors,Title,Year,Source,Publisher,ArticleURL,CitesURL,GSRank,QueryDate,Type,DOI,ISSN,Volume,Issue,\
StartPage,EndPage,ECC,CitesPerYear,CitesPerAuthor,AuthorCount,Age,Abstract,FullTextURL,RelatedURL
900,"A Roe, B Doe, C Poe…",On Steps,2020,Advances in Things,example.org,https://example.org/a,https://c.org,1,\
2021-01-01 00:00:00,PDF,,,33,,68,79,900,225,300,3,1,,https://example.org/a.pdf,https://r.org
"""


def test_a_search_of_publish_or_perish():
    [work] = loads(PERISH, "x.csv").works
    assert work.fields == {
        "kind": "paper",
        "title": "On Steps",
        "authors": ["A Roe", "B Doe", "C Poe"],
        "year": 2020,
        "venue": "Advances in Things",
        "publication": {"volume": "33", "pages": "68-79", "publisher": "example.org"},
        "links": {"home": "https://example.org/a", "pdf": "https://example.org/a.pdf"},
    }
    assert work.remarks == ("not all authors are named",)


def test_a_profile_of_google_scholar():
    text = 'Authors,Title,Publication,Volume,Number,Pages,Year,Publisher\n"Roe, Ann; Doe, Bob; ",On Steps,'
    assert fields(text + "arXiv preprint arXiv:2006.11239,,,,2020,\n") == [
        {
            "kind": "paper",
            "title": "On Steps",
            "authors": ["Ann Roe", "Bob Doe"],
            "year": 2020,
            "venue": "arXiv preprint arXiv:2006.11239",
            "arxiv": "2006.11239",
        }
    ]


def test_rows_that_are_ragged_or_broken_cost_themselves_and_are_named_by_their_line():
    text = (
        "Title,Year,Note\n"
        "Fine,2020,\n"
        'Two lines,2021,"one\ntwo"\n'
        "Too many,2022,a,b\n"
        "Short,2023\n"
        "\n"
        '"Broken" quote,2024,\n'
        "Late,2025,\n"
        "Odd,soon,\n"
        '"Never closed,2026,\n'
        "Last,2027,\n"
    )
    found = loads(text, "x.csv")
    assert [(work.line, work.fields["title"], work.fields.get("year")) for work in found.works] == [
        (2, "Fine", 2020),
        (3, "Two lines", 2021),
        (6, "Short", 2023),
        (9, "Late", 2025),
        (10, "Odd", None),
        (12, "Last", 2027),
    ]
    assert [(lost.line, lost.refused) for lost in found.unread] == [(5, True), (8, True), (11, True)]
    assert found.unread[0].says == "the row has 4 cells under 3 names"
    assert found.works[2].remarks == ("the row has 2 cells under 3 names",)
    assert found.works[4].remarks == ("no year in 'soon'",)


def test_what_no_column_of_a_record_takes_is_named():
    [work] = loads("Title;;Colour;Title\nX;a;red;Y\n", "x.csv").works
    assert work.fields == {"kind": "paper", "title": "X"}
    assert work.remarks == ("not kept: colour, column 2, title 4",)


def test_the_line_that_says_how_a_spreadsheet_parts_its_cells():
    assert [one["title"] for one in fields("sep=;\ntitle;year\nA, b, c;2020\n")] == ["A, b, c"]


@pytest.mark.parametrize("text", ["", "\n\n", "name,year\nx,2020\n", '"title\nx\n', "a" * 200_000])
def test_what_is_no_table_of_works_is_refused(text: str):
    with pytest.raises(InvalidRecordError, match=r"x\.csv"):
        loads(text, "x.csv")


def test_a_file_of_open_quotes_is_given_up_in_time():
    found = loads("title\n" + '"x\n' * 3000, "x.csv")
    assert found.works == []
    assert 90 < len(found.unread) <= 101
    assert "all below it" in found.unread[-1].says


@pytest.mark.parametrize("carried", ["[", '{"colour":"red"}'])
def test_a_row_that_carries_no_record_costs_itself(carried: str):
    rows = list(csv.reader(io.StringIO(dumps(RECORDS))))
    rows[1][-1] = carried
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    found = loads(stream.getvalue(), "x.csv")
    assert [work.fields["id"] for work in found.works] == ["b"]
    assert [(lost.line, lost.refused) for lost in found.unread] == [(2, True)]


def test_the_last_column_is_ours_and_on_one_line():
    assert all(COLUMNS[-1] == whole.NAME and "\n" not in row[-1] for row in csv.reader(io.StringIO(dumps(RECORDS))))
