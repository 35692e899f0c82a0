"""What does a connection cost? A ladder of held connections, and the slope of everything."""
