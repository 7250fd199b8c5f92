"""Injected faults against a real network of four validators with parties at work on it: `make faults`."""
