"""The simulator's page and the small HTTP API behind it, for browsers, terminals and scenarios."""
