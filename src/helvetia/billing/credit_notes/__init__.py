"""Credit notes of an account: our copies, and what they and refunds gave back of an invoice.

Does not own refunds: they stand among the payments.
"""
