"""Alarms of a tier as an OPC UA server with alarm conditions (Part 9)."""
