"""Bibliographies and reading lists as they are in the wild, invented with known truth, and a judge of what `kb` reads.

Nothing here uses kb's own parsers: the texts are written, and the records read, by other means.
"""
