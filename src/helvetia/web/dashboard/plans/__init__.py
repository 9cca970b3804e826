"""The plans side by side: for everybody with their prices, for an account with its own use beside each limit."""
