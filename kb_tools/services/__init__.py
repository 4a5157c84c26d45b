"""Servers that know papers: arXiv for what a paper is, Semantic Scholar and OpenAlex for what it cites."""
