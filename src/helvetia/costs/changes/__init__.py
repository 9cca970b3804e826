"""Deploys and other changes of services, with what each did to the cost of a day.

Does not own the changes: they are read from the audit record; nor the figures: they are the ledger's, by UTC day.
"""
