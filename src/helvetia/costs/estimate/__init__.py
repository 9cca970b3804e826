"""The estimate of the next invoice, line by line, and its check against Stripe's own preview.

Owns our copy of what Stripe will add to an invoice (discounts, taxes, balance). Does not own usage, prices or fees.
"""
