"""Past months and what the current period will come to; owns no figure."""
