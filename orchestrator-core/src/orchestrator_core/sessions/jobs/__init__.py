"""The transactions of the store, for every database."""
