"""Principals, redaction, CORS policy and the start-up checks."""
