"""Event → subscription: the one row per account that says plan, status and period, learnt from Stripe.

Does not own customers, checkout or invoices (billing), nor what follows from a state (enforcement).
"""
