"""Measurements of procserver, as exact counts and as ratios of interleaved runs; see docs/performance.md."""
