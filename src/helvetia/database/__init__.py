"""The pool, transactions, the embedded server, migrations, leases and the job queue.

Does not own any table of the business: each package's store.py holds all SQL of that package.
"""
