"""Tools of the project itself: examples, the map of topics, sizes."""
