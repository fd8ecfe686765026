"""Rules of conversations as pure functions over values."""
