"""The examples of the API's description: one table, a row an operation. Owns no rule and no route."""
