"""Stop 5, route: choose inside the admitted set, and keep the reason."""
