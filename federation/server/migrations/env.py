"""How Alembic reaches the database: through the engine that `Database.migrate` hands over."""

import sqlalchemy as sql
from alembic import context

from federation.server.tables import Base

engine: sql.Engine = context.config.attributes["engine"]
with engine.connect().execution_options(fedkey_write="FULL") as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
