"""The mathematics of prose: what is set, what is left alone, what is named as neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_tools.check import check
from kb_tools.notation import pieces, spoken, unset
from kb_tools.records.store import Collection
from kb_tools.site.markup import prose

ROOT = Path(__file__).resolve().parents[1]
TAGS = ("<i>", "</i>", "<sub>", "</sub>", "<sup>", "</sup>", "<code>", "</code>")


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ("x_0", "<i>x</i><sub>0</sub>"),
        ("x_{t-1}", "<i>x</i><sub>t−1</sub>"),
        ("abar_t", "<i>ᾱ</i><sub>t</sub>"),
        ("sigma^2", "<i>σ</i><sup>2</sup>"),
        ("sigma_t^2", "<i>σ</i><sub>t</sub><sup>2</sup>"),
        ("x~ and x_tilde", "<i>x̃</i> and <i>x̃</i>"),
        ("1 / c_out^2", "1 / <i>c</i><sub>out</sub><sup>2</sup>"),
        ("grad_x log p", "∇<sub>x</sub> log <i>p</i>"),
        ("-sigma grad log p_t(x)", "−<i>σ</i> ∇ log <i>p</i><sub>t</sub>(<i>x</i>)"),
        ("E|psi_x|^2 / 2", "E|<i>ψ</i><sub>x</sub>|<sup>2</sup> / 2"),
        ("p(y | x)^3", "<i>p</i>(<i>y</i> | <i>x</i>)<sup>3</sup>"),
        ("v^T (grad s) v", "<i>v</i><sup>⊤</sup> (∇ <i>s</i>) <i>v</i>"),
        ("sigma^(1/rho)", "<i>σ</i><sup>1/ρ</sup>"),
        ("sqrt(1 - abar_t) eps", "√(1 − <i>ᾱ</i><sub>t</sub>) <i>ε</i>"),
        ("from 1e-4 to 2.5e-3", "from 10<sup>−4</sup> to 2.5 × 10<sup>−3</sup>"),
        ("eps_hat - eps", "<i>ε̂</i> − <i>ε</i>"),
        ("x + sigma * eps", "<i>x</i> + <i>σ</i> · <i>ε</i>"),
        ("dx = f(x, t) dt", "<i>dx</i> = <i>f</i>(<i>x</i>, <i>t</i>) <i>dt</i>"),
        ("KL(q(z|x) || p(z))", "KL(<i>q</i>(<i>z</i>|<i>x</i>) ‖ <i>p</i>(<i>z</i>))"),
        ("the predicted-x_0 term", "the predicted-<i>x</i><sub>0</sub> term"),
        ("alpha-bar and beta-tilde_t", "<i>ᾱ</i> and <i>β̃</i><sub>t</sub>"),
        ("T = 1000 and x_T", "<i>T</i> = 1000 and <i>x</i><sub>T</sub>"),
        ("a small t, x's mean", "a small <i>t</i>, <i>x</i>&#39;s mean"),
        ("run `p_sample(x_t)` at x_t", "run <code>p_sample(x_t)</code> at <i>x</i><sub>t</sub>"),
    ],
)
def test_what_is_mathematics_is_set(said: str, made: str) -> None:
    shown = str(prose(said)).replace("&#95;", "_").replace("&#124;", "|")
    assert shown == made.replace("&#124;", "|")
    assert unset(said) == []


@pytest.mark.parametrize(
    "said",
    [
        "a U-Net, h-space, x- or v-prediction, k-diffusion, alpha-blending, a beta-test, Gamma-sampling",
        "see https://example.com/a_b/x_t?x~=1^2&y=sigma_t",
        "in unit1/02_diffusion_models_from_scratch.ipynb and ddpm_flat.py, x_t.py too",
        "doi 10.1162/NECO_a_00142",
        "commit 38e3b27d or 0157f7e7, about 12e5b files",
        "e.g. this, i.e. that, version 2.x, A. Song, Plan B, the sample(s)",
        "I am a person; a b-spline isn't o'clock, we're John's",
        "64x64 images, ~30 of them, 90%, C++, T5-XXL, 3D",
        "graduate, gradient, upgrade; a grad student; grad, and undergrad",
        "etal, alphabet, deltas, sigmas, betas",
        "MALA2 at GPT-4",
    ],
)
def test_what_is_not_is_left_as_it_is(said: str) -> None:
    assert [piece.kind for piece in pieces(said) if piece.kind == "math"] == []
    assert unset(said) == []


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("its p_sample adds noise", "p_sample"),
        ("the prior_std of it", "prior_std"),
        ("2^{a very long exponent indeed}", "2^{a"),
        (r"the \epsilon of it", r"\epsilon"),
        ("sqrt of two", "sqrt"),
        ("word^2", "word^2"),
        ("word~", "word~"),
    ],
)
def test_what_cannot_be_set_is_named(said: str, named: str) -> None:
    assert unset(said) == [named]


def test_the_same_in_plain_text() -> None:
    assert spoken("beta-tilde 77%, sigma^2, x_t, x^{n+1}, 1e-4 and x^a") == "β̃ 77%, σ², x_t, xⁿ⁺¹, 10⁻⁴ and x^a"
    assert spoken("a <b> & `code_x`") == "a <b> & code_x"


@given(st.text(alphabet="xtabeps_^~{}()`'\"<>&|-*/ .0123/\\$αsigmaqrt", max_size=60))
def test_nothing_gets_out(said: str) -> None:
    """Whatever is typed: no element but those of mathematics and code, and no letter lost."""
    shown = str(prose(said))
    for tag in TAGS:
        shown = shown.replace(tag, "")
    assert not set(shown) & set("<>\"'[]{}\\`*_~!|")
    kept = "".join(piece.body for piece in pieces(said) if piece.kind in ("text", "kept", "code"))
    assert len(kept) <= len(said)
    unset(said)
    spoken(said)


def test_the_collection_has_nothing_that_cannot_be_set() -> None:
    assert [problem for problem in check(Collection(ROOT)) if problem.code == "mathematics"] == []


def test_check_names_the_field_and_the_line(tmp_path: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    lines = ["id: ring", "kind: paper", "title: Ring", "summary: |-", "  It is fine.", "  Its p_sample is not."]
    (papers / "ring.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (found,) = [problem for problem in check(Collection(tmp_path)) if problem.code == "mathematics"]
    assert "summary: p_sample" in found.message
    assert found.path.name == "ring.yaml"
    assert found.line >= 4
