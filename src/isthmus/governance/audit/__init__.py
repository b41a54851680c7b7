"""The audit log: append-only, signed, and checked by strangers. An auditor can run this package alone."""
