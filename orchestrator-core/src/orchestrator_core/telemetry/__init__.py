"""Logs, metrics and cost."""
