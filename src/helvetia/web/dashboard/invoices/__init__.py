"""Invoices with their lines and attempts, and the history of payments."""
