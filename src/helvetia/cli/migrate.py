"""`helvetia migrate`: bring the database schema up to date."""

from helvetia.settings import Settings
from helvetia.wiring.house import running_database


def migrate() -> int:
    """Bring the database schema up to date. Safe to run twice, and while the former version runs.

    Example: DATABASE_URL=postgresql://… helvetia migrate
    """
    with running_database(Settings.load()):
        print("The schema is up to date.")
    return 0
