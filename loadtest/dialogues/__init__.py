"""Conversations that a file describes: read, checked, put into frames."""
