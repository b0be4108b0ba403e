"""Pure physics of the simulated plants; no clock, no wires."""
