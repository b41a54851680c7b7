"""The only file that names concrete classes."""
