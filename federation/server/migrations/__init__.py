"""Alembic migrations, in order; `Database.migrate` runs them."""
