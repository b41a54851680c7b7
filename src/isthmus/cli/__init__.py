"""The command line: one file per command group. ``main`` is the console script."""

from isthmus.cli.main import main

__all__ = ["main"]
