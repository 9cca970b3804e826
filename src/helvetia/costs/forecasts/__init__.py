"""What the current period will come to, and how past forecasts of it turned out.

Owns the forecasts that were made and what came of them. Does not own the methods (`rating.forecast`) or usage.
"""
