"""What the brain's and the cloud's PostgreSQL have in common: pool, migrations, receiver, outbox.

Only adapters and bootstraps of the tiers import this package; no SQL of a tier's own lives here.
"""
