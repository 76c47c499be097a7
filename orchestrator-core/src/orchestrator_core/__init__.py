"""One gateway in front of every LLM provider; the core package knows none of them."""
