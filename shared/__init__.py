"""What the three tiers share: the alarm machine, the messages, the bus, the outbox, the console.

Imported by everyone; imports no tier.
"""
