"""``python -m isthmus``."""
