"""The append-only record of decisions and operator actions.

Does not own what was decided; every package that decides writes here, in its own transaction.
"""

from helvetia.audit.store import record

__all__ = ["record"]
