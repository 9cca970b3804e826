"""The resources of the API, a file each: parameter tables, handlers, and the shape of the object.

Owns: what a caller may send and what an object looks like on the wire.
Does not own: the life of subscriptions and invoices over time (``engine``) and transport (``wire``).
"""
