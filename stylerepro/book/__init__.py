"""The book: reads results and notebooks, computes verdicts from tables, and has Sphinx lay it all out, offline."""

from stylerepro.book.building import build, write_sources

__all__ = ["build", "write_sources"]
