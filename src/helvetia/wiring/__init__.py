"""The parts list: adapters, services and controllers as one dishka container.

Does not own any behaviour.
"""
