"""Fleets of devices of unequal speed: scenarios, a virtual clock, headless devices."""
