"""Invented works, people and arXiv ids: what a wild file truly names, whatever it looks like."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ADJECTIVES = _words(
    "Adaptive Sparse Robust Latent Causal Bayesian Amortized Annealed Asymmetric Balanced Bounded Calibrated Coarse"
    " Compact Conditional Consistent Continuous Convex Cyclic Decoupled Dense Discrete Distilled Dynamic Efficient"
    " Elastic Entropic Equivariant Exact Fast Federated Fractal Gated Geometric Global Graded Harmonic Hidden"
    " Hierarchical Hybrid Implicit Incremental Invariant Joint Layered Lazy Linear Local Masked Modular Monotone"
    " Multilingual Neural Noisy Online Parallel Periodic Progressive Proximal Quantized Random Recurrent Regular"
    " Residual Reversible Scalable Shallow Smooth Spectral Stable Stochastic Structured Symmetric Tempered Tight"
    " Transient Truncated Tunable Uniform Unbiased Variational Weighted"
)
_NOUNS = _words(
    "Anchors Atlases Attention Autoencoders Barriers Beams Bridges Canyons Caches Chains Channels Clouds Codecs"
    " Colonies Compilers Contours Corridors Crystals Currents Curricula Decoders Deltas Dictionaries Drift Embeddings"
    " Encoders Ensembles Estimators Fields Filters Flows Forests Fragments Frames Gaps Gardens Glaciers Gradients"
    " Graphs Grids Harbours Horizons Islands Kernels Ladders Lattices Ledgers Lenses Limits Manifolds Maps Marshes"
    " Meadows Membranes Memories Mirrors Mixtures Moments Motifs Networks Oceans Operators Orbits Paths Patterns"
    " Pipelines Policies Polymers Posteriors Priors Proposals Pulses Queues Rivers Routers Rules Samplers Scores"
    " Sensors Shadows Signals Sketches Solvers Spirals Splines Streams Surfaces Tables Tides Tokens Towers"
    " Trajectories Trees Valleys Vectors Vessels Voices Walks Waves Windows"
)
_LINKS = ("for", "of", "with", "from", "beyond", "under", "without", "across")
_GIVEN = _words(
    "Ann Bob Cyrus Dora Emil Fay Gus Hana Igor Jun Kira Leo Mia Ned Olga Pia Quinn Rosa Sam Tess Uma Vic Wei Xena Yuri"
    " Zoe Marie-Claire Jean-Luc Aaron Beatrix Clement Delia"
)
_GIVEN_ACCENTED = _words(
    "Jos\u00e9 Ana\u00efs Bj\u00f6rn S\u00f8ren Zo\u00eb Fran\u00e7ois L\u00e1szl\u00f3 \u0141ukasz"
)
_FAMILY = _words(
    "Roe Doe Poe Lowe Marsh Hale Brock Tanner Vance Whitlow Ashby Corwin Dalton Ellery Fenwick Garrow Hobbs Ingram"
    " Jessop Kirkby Langton Merrow Norcott Oakes Penrose Quayle Rushton Selwyn Thorne Underhill Varley Winslow Yardley"
    " Smith-Jones O'Hara McAllister Chen Nakamura Okafor Haddad Kaur Nguyen Silva"
)
_FAMILY_ACCENTED = _words(
    "Garc\u00eda M\u00fcller \u010cerm\u00e1k \u015eahin Erd\u0151s Stra\u00dfer \u00c5berg Nu\u00f1ez Gr\u00f8nvold"
    " Lef\u00e8vre Ko\u015bci\u00f3\u0142 D\u0103nescu Mart\u00ednez Sk\u00e6r \u0160imek Tak\u00e1cs"
)
_PARTICLES = ("van den", "de la", "von", "van der", "de", "della", "ter")


@dataclass(frozen=True)
class Person:
    """The parts of one name."""

    given: str
    family: str
    particle: str = ""
    suffix: str = ""

    @property
    def whole(self) -> str:
        """As it is written on a paper."""
        return " ".join(part for part in (self.given, self.particle, self.family, self.suffix) if part)

    @property
    def turned(self) -> str:
        """Family name first, as BibTeX and RIS want it."""
        family = f"{self.particle} {self.family}".strip()
        return ", ".join(part for part in (family, self.suffix, self.given) if part)

    @property
    def initials(self) -> str:
        """`M.-C.` for Marie-Claire."""
        return "-".join(f"{part[0]}." for part in self.given.split("-"))


@dataclass
class Truth:
    """A work that a file names, and what must be known of it afterwards.

    arxiv, year: None where the file does not tell.  others: more authors are meant than are named, and a remark must
    say so.  unsure: authors may be wrong, if a remark says that they are not certain.  damaged: the entry is broken;
    it need not become a record if the report names its line.  first, last: its lines, from 1.
    """

    title: str
    people: list[Person] = field(default_factory=list)
    year: int | None = None
    arxiv: str | None = None
    authors: list[str] = field(default_factory=list)
    others: bool = False
    unsure: bool = False
    damaged: bool = False
    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        self.authors = self.authors or [one.whole for one in self.people]


@dataclass
class Wild:
    """One file: its name, its bytes, what it truly names, and how many of its works stand in it a second time."""

    name: str
    content: bytes
    truths: list[Truth]


class Inventor:
    """Gives works; no two have one title or one arXiv id."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)
        self._titles: set[str] = set()
        self._ids: set[str] = set()

    def one_of(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def title(self) -> str:
        """Six words or more."""
        rng = self.rng
        while True:
            words = [rng.choice(_ADJECTIVES), rng.choice(_NOUNS), rng.choice(_LINKS)]
            words += [*rng.sample(_ADJECTIVES, 2), rng.choice(_NOUNS)]
            if rng.random() < 0.3:
                words[1] += ":"
                words[2] = rng.choice(("A Study of", "Notes on", "The Case of"))
            title = " ".join(words)
            if title not in self._titles:
                self._titles.add(title)
                return title

    def person(self, *, accents: float = 0.0, particles: float = 0.0) -> Person:
        rng = self.rng
        given = rng.choice(_GIVEN_ACCENTED if rng.random() < accents else _GIVEN)
        family = rng.choice(_FAMILY_ACCENTED if rng.random() < accents else _FAMILY)
        particle = rng.choice(_PARTICLES) if rng.random() < particles else ""
        return Person(given, family, particle)

    def people(self, least: int = 1, most: int = 4, **chances: float) -> list[Person]:
        """Different people; no two share a family name."""
        found: dict[str, Person] = {}
        wanted = self.rng.randint(least, most)
        while len(found) < wanted:
            one = self.person(**chances)
            found.setdefault(one.family, one)
        return list(found.values())

    def arxiv(self, *, old: bool = False) -> str:
        """An id that a paper can have."""
        rng = self.rng
        while True:
            month = rng.randint(1, 12)
            if old:
                year = rng.choice([*range(92, 100), *range(7)])
                archive = rng.choice(["hep-th", "math", "cs", "cond-mat", "astro-ph", "quant-ph", "gr-qc"])
                ident = f"{archive}/{year:02}{month:02}{rng.randint(1, 999):03}"
            else:
                year = rng.randint(8, 24)
                number = rng.randint(1, 9999)
                ident = f"{year:02}{month:02}.{number:05}" if year >= 15 else f"{year:02}{month:02}.{number:04}"
            if ident not in self._ids:
                self._ids.add(ident)
                return ident

    def work(self, *, with_arxiv: bool = True, least: int = 1, most: int = 4, **chances: float) -> Truth:
        """A work whose year is that of its arXiv id."""
        arxiv = self.arxiv() if with_arxiv else None
        year = year_of(arxiv) if arxiv else self.rng.randint(1980, 2025)
        return Truth(self.title(), self.people(least, most, **chances), year, arxiv)


def year_of(arxiv: str) -> int:
    """The year that an arXiv id tells."""
    two = int(arxiv.rpartition("/")[2][:2])
    return 1900 + two if two > 90 else 2000 + two


class Sheet:
    """A text that grows, and remembers on which lines each work stands."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._line = 1
        self.truths: list[Truth] = []

    def put(self, text: str, *truths: Truth) -> None:
        """Add lines; those of `truths` are all of them."""
        text = text if text.endswith("\n") else f"{text}\n"
        end = self._line + text.count("\n")
        for truth in truths:
            truth.first, truth.last = self._line, max(self._line, end - 1)
            self.truths.append(truth)
        self._text.append(text)
        self._line = end

    def wild(self, name: str, encode: Callable[[str], bytes] = str.encode) -> Wild:
        return Wild(name, encode("".join(self._text)), self.truths)


_COMBINING = {
    "\u0301": "'", "\u0300": "`", "\u0302": "^", "\u0308": '"', "\u0303": "~", "\u0304": "=", "\u0307": ".",
    "\u030c": "v", "\u0327": "c", "\u0306": "u", "\u030b": "H", "\u0328": "k", "\u030a": "r",
}  # fmt: skip
_LETTERS = {
    "\u00df": "ss", "\u00e6": "ae", "\u00c6": "AE", "\u00f8": "o", "\u00d8": "O", "\u0142": "l", "\u0141": "L",
    "\u00e5": "aa", "\u00c5": "AA", "\u0153": "oe",
}  # fmt: skip


def in_tex(text: str, rng: random.Random) -> str:
    """Accented letters as TeX commands, each in one of the ways that people write them."""
    return "".join(_letter(letter, rng) for letter in unicodedata.normalize("NFC", text))


def _letter(letter: str, rng: random.Random) -> str:
    if letter in _LETTERS:
        command = _LETTERS[letter]
        return rng.choice([f"{{\\{command}}}", f"\\{command}{{}}", f"{{\\{command}{{}}}}"])
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) != 2 or parts[1] not in _COMBINING:
        return letter
    base, mark = parts[0], _COMBINING[parts[1]]
    if base == "i" and rng.random() < 0.5:
        base = "\\i"
    if mark.isalpha():
        return rng.choice([f"\\{mark}{{{base}}}", f"{{\\{mark} {base}}}", f"{{\\{mark}{{{base}}}}}"])
    forms = [f"{{\\{mark}{base}}}", f"\\{mark}{{{base}}}", f"{{\\{mark}{{{base}}}}}"]
    return rng.choice(forms if base.startswith("\\") else [*forms, f"\\{mark}{base}"])
