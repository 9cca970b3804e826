"""Scripted containers: what their environment says and what follows from it. Only simulated_host uses it."""
