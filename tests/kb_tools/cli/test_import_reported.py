"""Whatever a file holds, each work of it has its row, and what the rows say is what the collection then has."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Fields = Mapping[str, str]
ADDED = ("added", "incomplete")
# None, one that may be another's, and what formats read as marks.
TITLES = st.sampled_from(
    ["", "On Steps", "On Steps of Many Sizes", "on steps", "Noise: A Study", "50% more & less", "Ünïcode #1"]
)
WORKS = st.lists(
    st.fixed_dictionaries(
        {
            "title": TITLES,
            "author": st.sampled_from(["", "Roe, Ann", "Doe, Bob", "OpenAI"]),
            "year": st.sampled_from(["", "2020", "soon"]),
            "doi": st.sampled_from(["", "10.1000/a", "10.1000/b", "nonsense"]),
            "url": st.sampled_from(["", "https://arxiv.org/abs/2006.11230", "https://example.org/x", "example"]),
            "keywords": st.sampled_from(["", "speed", "unheard of"]),
        }
    ),
    min_size=1,
    max_size=6,
)


def as_bibtex(works: list[Fields]) -> str:
    entries = (
        f"@misc{{k{number},\n"
        + ",\n".join(f"  {name} = {{{value}}}" for name, value in work.items() if value)
        + "\n}\n"
        for number, work in enumerate(works)
    )
    return "\n".join(entries)


def as_csl(works: list[Fields]) -> str:
    return json.dumps(
        [
            {
                "type": "article",
                "title": one["title"],
                "author": [{"literal": one["author"]}],
                "keyword": one["keywords"],
            }
            | {"DOI": one["doi"], "URL": one["url"], "issued": {"raw": one["year"]}}
            for one in works
        ]
    )


def as_csv(works: list[Fields]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(works[0]))
    writer.writeheader()
    writer.writerows(works)
    return stream.getvalue()


def as_ris(works: list[Fields]) -> str:
    tags = {"title": "TI", "author": "AU", "year": "PY", "doi": "DO", "url": "UR", "keywords": "KW"}
    return "\n".join(
        "\n".join(["TY  - GEN", *(f"{tags[name]}  - {value}" for name, value in one.items() if value), "ER  - ", ""])
        for one in works
    )


@pytest.mark.parametrize(
    ("form", "written"),
    [("bib", as_bibtex), ("csl", as_csl), ("csv", as_csv), ("ris", as_ris)],
    ids=["bib", "csl", "csv", "ris"],
)
@given(works=WORKS)
@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_goes_in_is_reported(
    kb: Any,
    make: Any,
    record: Any,
    tmp_path: Path,
    form: str,
    written: Callable[[list[Fields]], str],
    works: list[Fields],
):
    shelf = make(record("steps", title="On Steps", authors=["Ann Roe"], doi="10.1000/a"))
    for path in shelf.files():
        if path.stem != "steps":
            path.unlink()
    file = tmp_path / "works"
    file.write_text(written(works), encoding="utf-8")
    outcome = kb(shelf, "import", str(file), "--format", form, "--json")
    rows = json.loads(outcome.out)["data"]
    # An empty row of a table is no work; everything else that goes in comes out as a row.
    meant = [one for one in works if form != "csv" or any(one.values())]
    assert len(rows) == len(meant)
    assert [row["title"] for row in rows if row["title"]] == [
        " ".join(one["title"].split()) for one, row in zip(meant, rows, strict=True) if row["title"]
    ]
    counted = Counter(row["status"] for row in rows)
    assert counted.total() == counted["added"] + counted["incomplete"] + counted["exists"] + counted["refused"]
    assert all(row["remarks"] for row in rows if row["status"] in ("incomplete", "refused"))
    assert outcome.code == (5 if counted["refused"] else 0)
    assert f"{counted['added'] + counted['incomplete']} added, {counted['exists']} exist already" in outcome.err
    # The rows tell the truth: who is said to be added is there under that title, and nobody else is.
    titles = {path.stem: shelf.document(path.stem).require()["title"] for path in shelf.files()}
    assert titles == {"steps": "On Steps"} | {row["id"]: row["title"] for row in rows if row["status"] in ADDED}
    assert all(row["id"] in titles for row in rows if row["status"] == "exists")
    # A work without a title is refused, and no other.
    assert [row["status"] == "refused" for row in rows] == [not one["title"] for one in meant]
