"""Handing everything over before something ends: a period by our own clock, a subscription at its customer's wish."""
