"""Notices to customers: an outbox of rows with due times, their words, and the ways they travel.

Does not own when something is told: the caller supplies kind, key, due time and figures of every notice.
"""
