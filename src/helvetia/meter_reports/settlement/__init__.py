"""What was used against what was billed: the operator's priced tasks, and the comparison of every hop.

Does not own the outbox (meter_reports) nor invoices (billing).
"""
