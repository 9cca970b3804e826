"""Stripe → event → sync: takes events in, makes each customer's facts be read again, and finds what was never sent.

Does not own what the facts mean (subscriptions, billing, meter_reports): an event is a hint, never a source of state.
"""
