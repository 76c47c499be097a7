"""The HTTP client and the reader of server-sent events that core hands to plugins."""
