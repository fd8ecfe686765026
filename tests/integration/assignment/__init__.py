"""The cases on which other routers lose, double or strand work, each on a running router with a broker and a database of its own."""
