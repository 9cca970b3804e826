"""Usage → money, pure: prices and quantities in, lines out.

Does not own prices (catalogue, stripe_gateway) nor usage (metering); does no I/O.
"""
