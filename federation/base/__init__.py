"""What every package stands on: files and settings."""
