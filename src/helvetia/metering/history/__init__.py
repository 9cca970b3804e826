"""Usage over time, and the pieces and readings behind a figure: read only. Owns no table."""
