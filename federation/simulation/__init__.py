"""Simulated clients: the only place that computes with TFF."""
