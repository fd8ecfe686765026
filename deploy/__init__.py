"""This package holds what runs Sambung: the embedded servers of one machine, and the descriptions for larger ones."""
