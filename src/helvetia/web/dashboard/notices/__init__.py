"""What the account was told, and what became of each notice."""
