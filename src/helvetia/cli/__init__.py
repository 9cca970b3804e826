"""The commands: a file each, imported only when called, so that each starts fast.

Does not own any behaviour: each command asks a service. Exit codes: 0 done, 1 something is wrong (said in words),
2 the command line or the configuration is wrong.
"""

import sys

from cyclopts import App

from helvetia.kernel.errors import HelvetiaError
from helvetia.settings import ConfigurationError

app = App(name="helvetia", help="The Stripe billing integration of Helvetia Cloud.", version="0.1.0")
for command, module in (
    ("up", "up"),
    ("api", "api"),
    ("worker", "worker"),
    ("agent", "agent"),
    ("node-token", "node_token"),
    ("lost-node", "lost_node"),
    ("adjust-usage", "adjust_usage"),
    ("sandbox", "sandbox"),
    ("migrate", "migrate"),
    ("setup-stripe", "setup_stripe"),
    ("token", "token"),
    ("usage", "usage"),
    ("reconcile", "reconcile"),
    ("usage-tasks", "usage_tasks"),
    ("redirect-report", "redirect_report"),
    ("enforce", "enforce"),
    ("holds", "holds"),
    ("notices", "notices"),
    ("doctor", "doctor"),
    ("bench", "bench"),
):
    app.command(f"helvetia.cli.{module}:{module}", name=command)


def main() -> None:
    """The entry point of `helvetia`."""
    try:
        result = app()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except HelvetiaError as error:
        print(f"{error.detail} [{error.code}]", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
