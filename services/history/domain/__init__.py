"""How entries are read together, and where a reader is in them; values in, values out."""
