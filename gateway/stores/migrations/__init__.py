"""The schema, step by step: `gateway.stores.migrate` runs it, alembic reads `env.py`."""
