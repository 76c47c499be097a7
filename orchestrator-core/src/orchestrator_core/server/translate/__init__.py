"""Between the wire formats of clients and the canonical conversation; pure functions, no HTTP."""
