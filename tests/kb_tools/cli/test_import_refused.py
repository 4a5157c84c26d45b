"""A work that is refused stands for no other."""

from __future__ import annotations

import json


def test_a_refused_work_does_not_hide_a_good_one(kb, make, tmp_path):
    shelf = make()
    file = tmp_path / "refs.bib"
    long = "x" * 501
    file.write_text(
        f"@misc{{a, title={{{long}}}, eprint={{2006.11230}}}}\n"
        f"@misc{{b, title={{{long}}}}}\n"
        "@misc{c, title={On Steps}, author={Roe, Ann}, eprint={2006.11230}}\n"
        "@misc{d, title={On Steps}, author={Roe, Ann}}\n"
    )
    outcome = kb(shelf, "import", str(file), "--json")
    rows = json.loads(outcome.out)["data"]
    assert [row["status"] for row in rows] == ["refused", "refused", "added", "exists"]
    assert [shelf.document(path.stem).require()["title"] for path in shelf.files()] == ["On Steps"]
    assert (outcome.code, "1 added, 1 exist already" in outcome.err) == (5, True)
