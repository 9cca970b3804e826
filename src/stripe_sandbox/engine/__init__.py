"""What happens to subscriptions and invoices as time passes and money moves.

Owns: period arithmetic, rounding, usage totals, building, finalizing, collecting and retrying invoices, timers.
Does not own: parameters and endpoints (``objects``), nor when time moves (``clock`` and the test clock resource).
"""
