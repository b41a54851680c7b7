"""What people ask a log: search, a request's story, what a vendor received, evidence of it."""
