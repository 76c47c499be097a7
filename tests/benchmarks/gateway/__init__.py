"""The cost of the gateway beside a bare proxy: `nox -s benchmark`."""
