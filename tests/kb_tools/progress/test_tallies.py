"""How far the reading is, in figures."""

from __future__ import annotations

from kb_tools.progress.tallies import of_goals, of_topics, overall


def test_counts_per_topic_and_goal(make, record):
    entries = make(
        record("a", status="read"),
        record("b", builds_on=["a"], topics=["speed"], status="reading"),
        record("c", builds_on=["b"], topics=["speed", "basics"], worth_reading=3, worth_reading_by="editors"),
        record("post", kind="blog", status="read"),
    ).entries()
    whole = overall(entries)
    assert (whole.total, whole.read, whole.reading, whole.skipped, whole.unread) == (3, 1, 1, 0, 1)
    topics = of_topics(entries, ["speed", "basics", "empty"])
    assert {name: (tally.total, tally.read) for name, tally in topics.items()} == {"speed": (2, 0), "basics": (2, 1)}
    assert of_goals(entries, ["c"])["c"].total == 3
