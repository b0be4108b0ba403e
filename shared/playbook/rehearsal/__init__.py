"""Rehearsing playbooks: tests on a virtual clock, coverage, replay of journals. Pure."""
