"""A change of a running subscription's items → what it credits, what it charges, and when it takes hold.

Owns: reading the wanted items, proration to the second, billing cycle resets, pending updates.
Does not own: drafts, finalization and payment (the engine's own files), nor parameters (``objects``).
"""
