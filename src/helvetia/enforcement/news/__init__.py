"""What is told besides the policy: invoices, plans that changed, cards that expire. Owns no table of its own."""
