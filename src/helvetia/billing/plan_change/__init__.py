"""Changing the plan of a subscription, and ending it: previewed, confirmed, done once.

Does not own the subscription's state: that is read back from Stripe by subscriptions.
"""
