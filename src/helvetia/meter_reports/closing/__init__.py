"""The end of an account: what must be over and billed before it, and the deletion itself.

Does not own accounts, nor the end of a subscription; it only refuses while either is not done.
"""
