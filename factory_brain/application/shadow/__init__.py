"""Shadow counting: what other settings of an alarm point would have told, and faults to hold
them against.
"""
