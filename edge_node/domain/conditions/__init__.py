"""Conditions of alarms: `limits` for what the kernel runs, one module for each other kind."""
