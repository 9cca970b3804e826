"""Readings of remote nodes: their tokens, what is believed of a batch, and its way into the same ledger."""
