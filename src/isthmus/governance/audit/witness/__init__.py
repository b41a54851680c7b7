"""Witnesses: our own, and the log's side of asking them."""
