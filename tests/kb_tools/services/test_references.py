"""References: what is understood, and what is refused before anybody is asked."""

from __future__ import annotations

import pytest

from kb_tools.errors import UsageError
from kb_tools.records.reference import year_of
from kb_tools.services.references import parse, parse_all


@pytest.mark.parametrize(
    ("text", "arxiv", "version", "doi"),
    [
        ("2006.11239", "2006.11239", None, None),
        (" 2006.11239v2\t", "2006.11239", 2, None),
        ("arXiv:2006.11239", "2006.11239", None, None),
        ("0704.0001", "0704.0001", None, None),
        ("1412.9999", "1412.9999", None, None),
        ("1501.00001", "1501.00001", None, None),
        ("https://arxiv.org/abs/2006.11239v1", "2006.11239", 1, None),
        ("https://arxiv.org/pdf/2006.11239.pdf", "2006.11239", None, None),
        ("http://arxiv.org/html/2006.11239v2#S3", "2006.11239", 2, None),
        ("https://www.alphaxiv.org/abs/2006.11239", "2006.11239", None, None),
        ("https://huggingface.co/papers/2006.11239", "2006.11239", None, None),
        ("arXiv:2006.11239 [cs.LG]", "2006.11239", None, None),
        ("arXiv:2006.11239v2 [stat.ML]", "2006.11239", 2, None),
        ("2006.11239,", "2006.11239", None, None),
        ("(2006.11239)", "2006.11239", None, None),
        ("arXiv 2006.11239", "2006.11239", None, None),
        ("arXiv: 2006.11239", "2006.11239", None, None),
        ("https://ar5iv.labs.arxiv.org/html/2006.11239", "2006.11239", None, None),
        ("https://ar5iv.org/abs/2006.11239", "2006.11239", None, None),
        ("https://arxiv.org/e-print/2006.11239", "2006.11239", None, None),
        ("https://doi.org/10.1162%2Fneco_a_00142", None, None, "10.1162/neco_a_00142"),
        ("10.48550/arXiv.2006.11239", "2006.11239", None, None),
        ("https://doi.org/10.48550/arXiv.2006.11239", "2006.11239", None, None),
        ("hep-th/9901001", "hep-th/9901001", None, None),
        ("math.GT/0309136v1", "math/0309136", 1, None),
        ("https://arxiv.org/abs/quant-ph/0201082", "quant-ph/0201082", None, None),
        ("10.1162/NECO.2011.00142", None, None, "10.1162/neco.2011.00142"),
        ("https://doi.org/10.1023/a:1022602019183", None, None, "10.1023/a:1022602019183"),
    ],
)
def test_every_form_is_understood(text, arxiv, version, doi):
    reference = parse(text)
    assert (reference.arxiv, reference.version, reference.doi) == (arxiv, version, doi)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2013.11239", "it names the month 13"),
        ("2000.11239", "it names the month 00"),
        ("1412.99999", "ids of 2014 have 4 digits after the point, not 5"),
        ("2006.1123", "ids of 2020 have 5 digits after the point, not 4"),
        ("0703.0001", "began with 0704"),
        ("hep-th/0901001", "ended in 2007"),
        ("10.48550/arXiv.nothing", "is no arXiv DOI"),
        ("2006.112", "neither an arXiv id nor a DOI"),
        ("hep-th/1601.07616", "neither an arXiv id nor a DOI"),
        ("../../etc/passwd", "neither"),
        ("https://example.org/2006.11239", "neither"),
        ("", "neither"),
        ("\x1b[31m2006.11239", "neither"),
        ("https://example.org/Denoising Diffusion Probabilistic Models", "neither"),
        ("Denoising", "neither"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(text, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        parse(text)
    assert "\x1b" not in caught.value.message


def test_all_mistakes_are_named_at_once_and_repetitions_are_one():
    with pytest.raises(UsageError) as caught:
        parse_all(["2006.11239", "2013.11239", "ddpm"])
    assert "2013.11239" in caught.value.message
    assert "ddpm" in caught.value.message
    found = parse_all(["2006.11239v1", "arXiv:2006.11239", "10.1000/X", "doi:10.1000/x"])
    assert [one.name for one in found] == ["2006.11239", "10.1000/x"]


def test_the_year_is_in_the_id():
    assert [year_of(one) for one in ("2006.11239", "hep-th/9901001", "math/0309136", "0704.0001")] == [
        2020,
        1999,
        2003,
        2007,
    ]


def test_two_words_or_more_are_a_title():
    one = parse("  Denoising Diffusion\n Probabilistic Models ")
    assert (one.title, one.arxiv, one.doi, one.scholar) == (
        "Denoising Diffusion Probabilistic Models",
        None,
        None,
        None,
    )
    assert one.key == "denoising diffusion probabilistic models"
