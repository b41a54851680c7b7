"""From the bytes of a file to text with structure: one class a family of formats."""
