"""What a provider's answer means for a message, and when to try again; values in, values out."""
