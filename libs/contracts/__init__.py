"""What may cross a topic: ids, vocabulary, payload models, envelope, the map of topics, an example per type."""
