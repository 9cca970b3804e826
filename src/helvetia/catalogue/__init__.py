"""Plans, limits, prices and units: the one table that limits, pages, docs, rating and the Stripe set-up read.

Does not own the prices in force at Stripe: those are read and verified by stripe_gateway.catalog.
"""
