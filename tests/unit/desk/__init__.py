"""The desk without broker and database."""
