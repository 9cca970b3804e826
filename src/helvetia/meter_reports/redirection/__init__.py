"""Usage that was reported to a customer whose usage it was not: taken back there, and reported anew where it belongs.

Does not own the outbox (meter_reports), which sends the amount again by itself once the row is rejected.
"""
