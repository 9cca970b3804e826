"""The background: ticks and jobs.

Does not own what they do: schedule.py binds names to functions.
"""
