"""Conversations as files: one line of JSON for each thing that is kept."""
