"""The channel adapters, the webhook route and the visitors' socket, without a broker."""
