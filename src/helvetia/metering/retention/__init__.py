"""How long readings live, and the partitions that they and the ledger lie in. The ledger itself is never dropped."""
