"""Base for providers that speak OpenAI's wire format; it knows no provider by name."""
