"""The operator's overview: what needs a decision, and the list behind every number."""
