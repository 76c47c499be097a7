"""What runs the store's transactions: SQLite, in a file or in memory, and PostgreSQL."""
