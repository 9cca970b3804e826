"""Sample → usage: cut time into windows, count each window's piece, close what is settled."""
