"""Subscription → container: who may start what, and which services are held.

Does not own hold rows (containers) nor payment state (subscriptions).
"""
