"""The JSON API: a controller a subject; each method asks one service and turns its answer into the wire's form."""
