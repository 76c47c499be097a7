"""Retry, limits and what else keeps a fault from spreading."""
