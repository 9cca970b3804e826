"""Changing and ending a plan: what it would do and cost, one button that says so, and what became of it."""
