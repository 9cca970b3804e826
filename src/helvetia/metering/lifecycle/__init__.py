"""Container → run: what the engine tells of starts and finishes becomes rows; containers that are done are removed."""
