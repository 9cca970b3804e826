"""Words shared by every package: money, quantity, period, clock, identity, errors.

Owns no I/O and imports nothing of the house.
"""
