"""What pages say to who did not make them: no numbers of lists, no names of the makers' tools, one word explained."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

from kb_tools.site.build import build
from kb_tools.site.pages import judge

MAKERS = ("code/", "contribute/", "data/")  # pages for who works on the collection; code says what it says
JARGON = re.compile(
    r"\bseeds? 00\d\b|\b(?:by|no) seed\b|\b(?:other|two|five) seeds\b|(?<![\d.,])00[0-4]\b"
    r"|\bmend something\b|\bScore \d of \d|\bby editors\b",
    re.IGNORECASE,
)


def in_sight(html: str) -> str:
    """The words of a page as it opens: nothing folded, no code, no mathematics."""
    main = html[html.index("<article") : html.index("</article")]
    while "<details" in main:
        main = re.sub(r"<details\b(?:(?!<details).)*?</details>", " ", main, count=1, flags=re.DOTALL)
    main = re.sub(r"<(script|style|pre|svg|math)\b.*?</\1>", " ", main, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", main)))


def test_nothing_in_sight_is_the_makers_own_language(real: Any) -> None:
    found = {}
    for page in real.pages():
        if page.startswith(MAKERS) or page == "404.html":
            continue
        words = in_sight(real.html(page))
        if hits := [words[max(m.start() - 30, 0) : m.end() + 30] for m in JARGON.finditer(words)]:
            found[page] = hits
    assert found == {}


def test_the_search_for_jargon_finds_some() -> None:
    for said in (
        "Score 3 of 3, by seed 002",
        "List 000, line 13",
        "as seed 004 advises",
        "which no seed lists",
        "002's authors",
    ):
        assert JARGON.search(said), said
    for said in ("the same on every seed", "10 seeds, data digits", "worth reading 3 of 3", "L_simple + 0.001"):
        assert not JARGON.search(said), said


def test_whose_score_it_is() -> None:
    assert judge("seed 002") == "a reading list from which this collection grew"
    assert judge("editors") == "an editor of this collection"
    assert judge("Ada") == "Ada"
    assert judge("seed 002 and Ada") == "seed 002 and Ada"


def test_where_a_paper_comes_from_is_told_but_folded(small: Any) -> None:
    html = small.html("papers/ring")
    folded = re.search(r'<details class="where" id="origin">(.*?)</details>', html, re.DOTALL)
    assert folded
    assert "Reading list 001, line 1, under “All”" in folded[1]
    assert "papers/ring.yaml" in folded[1]
    assert "line 1, under" not in in_sight(html)


def test_proven_leads_to_what_it_means_and_does_not(small: Any) -> None:
    assert '<a class="badge is-good" href="../../verification/#proven">' in re.sub(
        r'<a href="([^"]*)" class="([^"]*)">', r'<a class="\2" href="\1">', small.html("papers/ring")
    )
    html = small.html("verification")
    meaning = html[html.index('<h2 id="proven">') :].split("</section>")[0]
    assert "does not mean that the paper’s own results are reproduced" in meaning
    assert 'href="../verification/#proven"' not in html, "the page does not send its reader to itself"


def goals(html: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Topic -> the goals under it, each as its id and what is said of hours."""
    sections = re.findall(r"<section><h2>(.*?)</h2>(.*?)</section>", html, re.DOTALL)
    line = re.compile(r'<li class="goal" id="([^"]*)".*?</h3><span class="fine">([^<]*)</span>', re.DOTALL)
    return [(title, line.findall(body)) for title, body in sections]


def test_goals_stand_by_topic_the_nearest_first_with_hours(small: Any) -> None:
    found = goals(small.html("order/goals"))
    # start is a tutorial, 4; ring is worth 3, 2; survey is one, 3; spite is worth 2, 1.
    assert found[0] == ("Basics", [("ring", "about 6 hours"), ("survey", "about 9 hours")])
    assert found[1][0].startswith("Speed ")
    assert found[1][1] == [("spite", "about 7 hours")]
    assert len(found) == 2, "topics without a goal are not named"


def test_a_goal_without_a_topic_stands_last(write: Callable, a_record: Callable) -> None:
    records = [a_record("one"), a_record("two", builds_on=["one"], topics=[]), a_record("three", builds_on=["one"])]
    collection = write(records)
    html = (build(collection, collection.root / "build").site / "order/goals/index.html").read_text(encoding="utf-8")
    assert goals(html) == [("Basics", [("three", "about 2 hours")]), ("Without a topic", [("two", "about 2 hours")])]


def test_topics_say_what_they_hold_and_the_empty_are_left_out(small: Any) -> None:
    home = small.html("")
    tiles = re.findall(r'<a href="\./topics/(\w+)/"><span>.*?</span><b>(.*?)</b>', home, re.DOTALL)
    assert [(name, re.sub(r"<[^>]*>", "", held)) for name, held in tiles] == [
        ("basics", "3 papers + 1 resource"), ("speed", "2 papers"),
    ]  # fmt: skip
    assert 'topics/empty/"' not in home


def test_notes_on_the_lists_are_told_apart_from_cautions(write: Callable, a_record: Callable) -> None:
    about = ["001's authors are right.", "Which no seed lists.", "004 and 002 differ."]
    other = ["Takes 1,000 steps.", "Uses seed 0 and 0.001 of noise.", "arXiv:2006.00123, v2."]
    collection = write([a_record("one", notes=[*about, *other], corrections=["000 has no year."])])
    html = (build(collection, collection.root / "build").site / "papers/one/index.html").read_text(encoding="utf-8")
    folded = html[html.index('id="origin"') :].split("</details>")[0]
    seen = unescape(html[html.index('<h2 id="cautions"') :].split("</section>")[0])
    assert [note in unescape(folded) for note in (*about, "000 has no year.")] == [True] * 4
    assert [note in seen for note in other] == [True] * 3
    assert [note in seen for note in about] == [False] * 3
