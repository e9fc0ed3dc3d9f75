"""Versions of a device's records. What is written here is never changed, only added to."""

_FIRST = (
    "CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS ledger (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, round_id INTEGER, what TEXT NOT NULL,
        sent INTEGER NOT NULL, received INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS rounds (
        round_id INTEGER PRIMARY KEY, began REAL NOT NULL, ended REAL, contributed INTEGER, reason TEXT)""",
)

_CODES = {
    "the plan is below this phone''s policy": "policy",
    "the privacy budget is spent": "budget",
    "a signature or hash was wrong": "signature",
    "the model is of another network or vocabulary": "incompatible",
    "what the server said of the others is not safe": "unsafe",
    "the phone is in use, or not on power or an unmetered network": "conditions",
    "too little was typed to learn from": "too_little",
    "training failed": "training",
    "the round went on without this phone, or was given up": "late",
    "the server did not answer": "unreachable",
    "the phone was restarted": "restarted",
    "the owner left": "left",
    "the server refused the message": "refused",
}
"""Reasons as the first versions wrote them, as text of SQL, and the codes that they became."""

# Rounds are counted for each instance of a server; of those from before, in era 0, none is known. Reasons are codes.
_SECOND = (
    """CREATE TABLE IF NOT EXISTS requests (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, round_id INTEGER, what TEXT NOT NULL,
        sent INTEGER NOT NULL, received INTEGER NOT NULL, era INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS eras (
        era INTEGER PRIMARY KEY, instance BLOB NOT NULL UNIQUE, last_round_id INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS joined_rounds (
        number INTEGER PRIMARY KEY AUTOINCREMENT, era INTEGER NOT NULL, round_id INTEGER NOT NULL,
        joined INTEGER NOT NULL, began REAL NOT NULL, ended REAL, contributed INTEGER, reason TEXT,
        UNIQUE (era, round_id))""",
    """INSERT INTO requests (at, round_id, what, sent, received, era)
        SELECT at, round_id, what, sent, received, 0 FROM ledger ORDER BY id""",
    """INSERT INTO joined_rounds (era, round_id, joined, began, ended, contributed, reason)
        SELECT 0, round_id, ended IS NULL OR ended > began, began, ended, contributed, reason
        FROM rounds ORDER BY round_id""",
    "DROP TABLE ledger",
    "DROP TABLE rounds",
    *(f"UPDATE joined_rounds SET reason = '{code}' WHERE reason = '{text}'" for text, code in _CODES.items()),  # noqa: S608
)

# What was sent, trained from which model, so that a phone can say when it was enough; and how many were in the sum.
_THIRD = (
    "ALTER TABLE joined_rounds ADD COLUMN model BLOB",
    "ALTER TABLE joined_rounds ADD COLUMN uploaded REAL",
    "ALTER TABLE joined_rounds ADD COLUMN phones INTEGER NOT NULL DEFAULT 0",
    "UPDATE joined_rounds SET uploaded = began WHERE contributed",
)

MIGRATIONS = (_FIRST, _SECOND, _THIRD)
