"""Customers, subscribing, invoices: what we ask of Stripe and mirror from it.

Does not own the subscription's state (subscriptions) nor usage (metering).
"""
