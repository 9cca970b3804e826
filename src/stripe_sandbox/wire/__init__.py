"""How requests are read and answers are written.

Owns: form decoding, parameter tables, error envelopes, idempotency keys, list cursors, expansion, routing.
Does not own: what any object means; that is ``objects`` and ``engine``.
"""
