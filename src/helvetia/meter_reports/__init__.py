"""Usage → Stripe, once: an outbox of meter events.

Does not own usage (metering) nor the account's periods (subscriptions).
"""
