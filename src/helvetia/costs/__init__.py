"""What was used and what it costs, read from our own ledger.

Does not own usage or prices; writes nothing.
"""
