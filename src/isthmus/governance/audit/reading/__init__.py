"""Reading and checking a log: no key, no lock, also while a server writes."""
