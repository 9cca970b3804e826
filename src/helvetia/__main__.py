"""`python -m helvetia` is `helvetia`."""

from helvetia.cli import main

main()
