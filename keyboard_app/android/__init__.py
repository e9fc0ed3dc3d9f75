"""The phone under Android: what the system knows and keeps, by pyjnius. docs/android.md says what was never run."""
