"""Run by alembic with the connection that `gateway.stores.migrate` hands it; never on its own."""

from alembic import context
from sqlmodel import SQLModel

import gateway.stores.tables  # noqa: F401 - declares the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,  # SQLite's too: the driver does not begin transactions here
    transaction_per_migration=False,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
