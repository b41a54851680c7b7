"""Tools for working on Isthmus; nothing here is installed."""
