"""Measure how fast and how small: `make bench`."""
