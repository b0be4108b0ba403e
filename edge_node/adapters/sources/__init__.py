"""Drivers: one file per protocol, each in a child process of its own."""
