"""The service: everything that touches the world, between carriers and ledger."""
