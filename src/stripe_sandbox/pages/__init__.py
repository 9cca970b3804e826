"""The pages a browser sees: checkout, customer portal, hosted invoice, inspector.

Owns: forms, templates, their look and their guard (loopback peers only, no scripts, everything escaped).
Does not own: what a click does. That is the same code an API request runs.
"""
