"""All examples by method and path."""

from helvetia.web.examples import of_enforcement, of_invoices, of_plans, of_usage
from helvetia.web.examples.model import Examples

EXAMPLES: Examples = {
    **of_plans.EXAMPLES,
    **of_invoices.EXAMPLES,
    **of_usage.EXAMPLES,
    **of_enforcement.EXAMPLES,
}
