"""Charts as SVG, drawn on the server: readable without scripts, printable, testable as text."""
