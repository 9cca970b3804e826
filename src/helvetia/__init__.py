"""Helvetia Billing: the Stripe billing integration of Helvetia Cloud.

money:   container → sample → usage → rating → Stripe → invoice
control: Stripe → webhook → subscription → enforcement → container
"""
