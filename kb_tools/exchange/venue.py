"""Where a work appeared, told apart: a conference, a journal with its volume and pages, or a preprint alone.

Records keep a venue as people write it, "ICLR 2021" or "JMLR 6:695-709, 2005"; citations want its parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kb_tools.exchange.work import Data
from kb_tools.records.fields import PAPER_KINDS

Kind = Literal["conference", "workshop", "journal", "preprint", "other"]

CONFERENCES = {
    "3DV": "International Conference on 3D Vision",
    "AAAI": "AAAI Conference on Artificial Intelligence",
    "ACL": "Annual Meeting of the Association for Computational Linguistics",
    "AISTATS": "International Conference on Artificial Intelligence and Statistics",
    "COLT": "Conference on Learning Theory",
    "CVPR": "IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    "CoRL": "Conference on Robot Learning",
    "ECCV": "European Conference on Computer Vision",
    "EMNLP": "Conference on Empirical Methods in Natural Language Processing",
    "ICASSP": "IEEE International Conference on Acoustics, Speech and Signal Processing",
    "ICCV": "IEEE/CVF International Conference on Computer Vision",
    "ICLR": "International Conference on Learning Representations",
    "ICML": "International Conference on Machine Learning",
    "IJCAI": "International Joint Conference on Artificial Intelligence",
    "Interspeech": "Interspeech",
    "KDD": "ACM SIGKDD Conference on Knowledge Discovery and Data Mining",
    "MICCAI": "Medical Image Computing and Computer-Assisted Intervention",
    "NAACL": "Conference of the North American Chapter of the Association for Computational Linguistics",
    "NIPS": "Advances in Neural Information Processing Systems",
    "NeurIPS": "Advances in Neural Information Processing Systems",
    "RSS": "Robotics: Science and Systems",
    "SIGGRAPH": "ACM SIGGRAPH",
    "SIGGRAPH Asia": "ACM SIGGRAPH Asia",
    "UAI": "Conference on Uncertainty in Artificial Intelligence",
    "WACV": "IEEE/CVF Winter Conference on Applications of Computer Vision",
}
JOURNALS = {
    "JMLR": "Journal of Machine Learning Research",
    "PAMI": "IEEE Transactions on Pattern Analysis and Machine Intelligence",
    "TMLR": "Transactions on Machine Learning Research",
    "TOG": "ACM Transactions on Graphics",
    "TPAMI": "IEEE Transactions on Pattern Analysis and Machine Intelligence",
}
_KIND_OF_TYPE: dict[str, Kind] = {
    "article": "journal",
    "inproceedings": "conference",
    "conference": "conference",
    "incollection": "conference",
    "inbook": "conference",
}
_MEETING = re.compile(rf"({'|'.join(sorted(CONFERENCES, key=len, reverse=True))}) ((?:19|20)\d\d)( Workshops?)?")
_VOLUME = re.compile(
    r"(?P<name>\D.*?),? (?P<volume>\d+)(?:\((?P<number>[^)]+)\))?(?::(?P<pages>[\w-]+))?"
    r",? \(?(?P<year>(?:19|20)\d\d)\)?(?: \(.*\))?"
)
_JOURNAL_ALONE = re.compile(rf"({'|'.join(JOURNALS)}) ((?:19|20)\d\d)")
_PROCEEDINGS = re.compile(r"Proc(?:\.|eedings) (?:of )?(?P<name>.+?)(?:, pp?\. (?P<pages>\d+(?:-+\d+)?))?")
_PREPRINT = re.compile(r"(?:arXiv|bioRxiv|Preprint|CoRR)\b.*", re.IGNORECASE)


@dataclass(frozen=True)
class Venue:
    """name: in full where it is known.  year: of the publication, which may be later than the work's own."""

    kind: Kind
    name: str = ""
    year: int | None = None
    volume: str = ""
    number: str = ""
    pages: str = ""

    @property
    def first_page(self) -> str:
        return self.pages.partition("-")[0]

    @property
    def last_page(self) -> str:
        return self.pages.rpartition("-")[2] if "-" in self.pages else ""


def venue_of(record: Data) -> Venue:
    """Where a work appeared.  A paper without a venue is a preprint; what cannot be told apart is `other`."""
    text, said = str(record.get("venue") or ""), record.get("publication") or {}
    if text and said.get("type") in _KIND_OF_TYPE and not _PREPRINT.fullmatch(text):
        kind = _KIND_OF_TYPE[said["type"]]
        return Venue(kind, text, None, *(said.get(part, "") for part in ("volume", "number", "pages")))
    if record.get("kind", "paper") not in PAPER_KINDS:
        return Venue("other", text)
    if not text or _PREPRINT.fullmatch(text):
        return Venue("preprint")
    if found := _MEETING.fullmatch(text):
        name, year, workshop = found.groups()
        return Venue("workshop" if workshop else "conference", CONFERENCES[name] + (workshop or ""), int(year))
    if found := _JOURNAL_ALONE.fullmatch(text):
        return Venue("journal", JOURNALS[found[1]], int(found[2]))
    if found := _PROCEEDINGS.fullmatch(text):
        name = f"Proceedings of the {found['name'].removeprefix('the ')}"
        return Venue("conference", name, pages=found["pages"] or "")
    if found := _VOLUME.fullmatch(text):
        name, volume, number, pages, year = found.group("name", "volume", "number", "pages", "year")
        return Venue("journal", JOURNALS.get(name, name), int(year), volume, number or "", pages or "")
    return Venue("other", text)
