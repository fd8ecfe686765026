"""Web chat: sessions, the visitor's socket, and the answers that are shown on it (docs/channels-webchat.md)."""
