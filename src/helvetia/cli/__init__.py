"""The commands: a file each.

Does not own any behaviour: each command asks a service.
"""
