"""Failed payments: the line on every page, and the page on what stops when, in which order, and what brings it back."""
