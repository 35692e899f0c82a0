"""Statistics and searches: values in, values out, without clocks, sockets or processes."""
