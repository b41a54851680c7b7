"""What happens to a request, in order: ``pipeline`` is the map."""
