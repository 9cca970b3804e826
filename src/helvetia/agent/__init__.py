"""Samples a remote node: the same looks as in process, kept on disk until the server has them.

Does not own any ledger: the server judges and writes. Knows neither Stripe nor the web framework.
"""
