"""The edge's local page: what an operator sees and does when the factory's brain is away."""
