"""Container → sample → usage: readings of cumulative counters become closed hour pieces in usage_records.

Does not own what runs (containers), prices (rating), nor what is sent to Stripe (meter_reports).
"""
