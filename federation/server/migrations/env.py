"""How Alembic reaches the database: through the connection, in a transaction, that `Database.migrate` hands over."""

import sqlalchemy as sql
from alembic import context

from federation.server.tables import Base

connection: sql.Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
