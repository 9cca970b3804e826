"""The usage explorer, one service, and why a figure is what it is; owns no figure."""
