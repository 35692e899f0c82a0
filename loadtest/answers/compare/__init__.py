"""Is this commit slower? Pairs of interleaved runs of two builds, and a verdict."""
