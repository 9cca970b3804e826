"""Container → sample: ways to read the cumulative counters of running containers.

Does not own what is done with a reading (windows and ledger are metering's), nor which containers exist (the host's).
"""
