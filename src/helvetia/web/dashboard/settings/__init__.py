"""How the pages look and speak to a reader, what is on the invoices, and the organizations somebody belongs to."""
