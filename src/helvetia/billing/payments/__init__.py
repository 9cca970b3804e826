"""Payments of an account: attempts, refunds, methods, paying an open invoice.

Does not own invoices as such: they are mirrored by billing.
"""
