"""Is this commit slower? Interleaved runs of two builds, and one word."""
