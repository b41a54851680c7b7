"""Models of any server that speaks OpenAI's protocol: a provider is a row of ``rows.py``."""
