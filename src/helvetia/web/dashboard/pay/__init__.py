"""Paying what is open, as a page."""
