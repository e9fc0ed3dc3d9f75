"""What both sides of a round agree on: plans, tasks, messages about devices, and models as bytes."""
