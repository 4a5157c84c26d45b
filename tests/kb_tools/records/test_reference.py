"""What people paste when they mean a paper, as arXiv, its mirrors, indexes and publishers print it."""

from __future__ import annotations

import time
from datetime import date

import pytest

from kb_tools.records.reference import arxiv_id, arxiv_mentioned, doi, doi_of_page, impossible


@pytest.mark.parametrize(
    "text",
    [
        "arXiv:2010.02502 [cs.LG] 5 Oct 2022",
        "arXiv:2010.02502 (cs)",
        "arXiv preprint arXiv:2010.02502",
        "arXiv e-prints, arXiv:2010.02502",
        "[2010.02502] Denoising Diffusion Implicit Models",
        "oai:arXiv.org:2010.02502",
        "info:arxiv/2010.02502",
        "arXiv.2010.02502",
        "abs/2010.02502",
        "https://arxiv.org/abs/2010.02502.",
        "https://arxiv.org/abs/arXiv:2010.02502",
        "https://arxiv.org/tb/2010.02502",
        "https://www.arxiv-vanity.com/papers/2010.02502/",
        "https://xxx.itp.ac.cn/abs/2010.02502",
        "https://www.alphaxiv.org/overview/2010.02502",
        "https://hf.co/papers/2010.02502",
        "https://huggingface.co/papers/2010.02502",
        "https://papers.cool/arxiv/2010.02502",
        "https://api.semanticscholar.org/arXiv:2010.02502",
        "https://api.semanticscholar.org/graph/v1/paper/arXiv:2010.02502",
        "https://www.semanticscholar.org/arxiv/2010.02502",
        "https://inspirehep.net/api/arxiv/2010.02502",
        "https://web.archive.org/web/2021/https://arxiv.org/abs/2010.02502",
        "https://dblp.org/rec/journals/corr/abs-2010-02502",
        "https://ui.adsabs.harvard.edu/abs/2020arXiv201002502S/abstract",
        "https://ui.adsabs.harvard.edu/abs/arXiv:2010.02502",
        "https://doi.org/10.48550%2FarXiv.2010.02502",
        "www.doi.org/10.48550/arXiv.2010.02502",
    ],
)
def test_an_arxiv_id_is_known_in_whatever_form_it_is_printed(text):
    assert arxiv_id(text) == ("2010.02502", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arXiv:2010.02502v4 [cs.LG] 5 Oct 2022", ("2010.02502", 4)),
        ("http://xxx.lanl.gov/abs/hep-th/9901001v2", ("hep-th/9901001", 2)),
        ("https://ui.adsabs.harvard.edu/abs/2010arXiv1002.1234B", ("1002.1234", None)),
        ("https://example.org/papers/2010.02502", None),
        ("https://huggingface.co/datasets/someone/2010.02502", None),
        ("the journals/corr/abs-2010-02502 of somebody", None),
        ("2010.02502 and 2010.02503", None),
        ("[1] Denoising Diffusion Implicit Models", None),
    ],
)
def test_what_is_more_than_an_id_or_none(text, expected):
    assert arxiv_id(text) == expected


@pytest.mark.parametrize(
    ("bare", "why"),
    [
        ("2013.00001", "month 13"),
        ("2000.00001", "month 00"),
        ("0703.0001", "began with 0704"),
        ("0704.0001", None),
        ("1412.1234", None),
        ("1412.12345", "4 digits"),
        ("1501.00001", None),
        ("1501.0001", "5 digits"),
        ("2010.00000", "begin with 00001"),
        ("1010.0000", "begin with 0001"),
        ("9912.12345", "still to come"),
        ("hep-th/9108001", None),
        ("math/0703999", None),
        ("math/0704001", "ended in 2007, with March"),
        ("hep-th/0801001", "ended in 2007, with March"),
        ("hep-th/9901000", "begin with 001"),
        ("hep-th/9913001", "month 13"),
        ("nowhere/9901001", "no archive nowhere"),
    ],
)
def test_an_id_that_no_paper_can_have_is_told_with_its_reason(bare, why):
    found = impossible(bare)
    assert found is None if why is None else why in (found or "")


def test_the_month_of_now_exists_and_the_one_after_next_does_not():
    today = max(date.today(), date(2026, 11, 1))
    later = today.year * 12 + today.month + 1  # months since year 0, of the one after next
    assert impossible(f"{today:%y%m}.00001") is None
    assert "still to come" in (impossible(f"{later // 12 % 100:02}{later % 12 + 1:02}.00001") or "")


@pytest.mark.parametrize(
    "text",
    ["DOI 10.1162/NECO.2011.00142", "doi.org/10.1162/neco.2011.00142", "https://dx.doi.org/10.1162/neco.2011.00142."],
)
def test_a_doi_is_known_in_whatever_form_it_is_printed(text):
    assert doi(text) == "10.1162/neco.2011.00142"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://dl.acm.org/doi/pdf/10.1145/3528233.3530757", "10.1145/3528233.3530757"),
        ("https://dl.acm.org/doi/10.1145/3528233.3530757?download=true", "10.1145/3528233.3530757"),
        ("https://link.springer.com/content/pdf/10.1007/978-3-319-24574-4_28.pdf", "10.1007/978-3-319-24574-4_28"),
        ("https://onlinelibrary.wiley.com/doi/full/10.1111/cgf.14988", "10.1111/cgf.14988"),
        ("https://www.nature.com/articles/s41586-023-06415-8", "10.1038/s41586-023-06415-8"),
        ("https://ieeexplore.ieee.org/document/9878449", None),
        ("a page of https://dl.acm.org/doi/10.1145/3528233.3530757", None),
    ],
)
def test_publishers_write_the_doi_into_the_address_of_a_page(text, expected):
    assert doi_of_page(text) == expected


@pytest.mark.parametrize("part", ["a-", "a.", "http://", "[", "arxiv: ", "-a", "x.org/a/10.1234/", "abs/"])
def test_no_text_takes_long(part):
    text = part * (40_000 // len(part))
    start = time.process_time()
    for read in (arxiv_id, arxiv_mentioned, doi, doi_of_page):
        read(text)
    assert time.process_time() - start < 2, "a second reading of each letter would take minutes"
