"""Users, organizations, roles, sessions and tokens.

Does not own plans or payment: AccountHooks lets subscriptions write its row in the same transaction.
"""
