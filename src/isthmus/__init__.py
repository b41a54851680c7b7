"""Isthmus: open and closed models under one policy, with evidence for every decision."""

__version__ = "0.1.0"
