"""Keyboard prediction that learns across phones without seeing what anyone types."""
