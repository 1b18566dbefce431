"""Adapters: test-suites and course code written for other small frameworks run on taper."""
