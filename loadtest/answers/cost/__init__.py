"""What does a connection cost? More and more connections are held, step by step; the cost is the slope."""
