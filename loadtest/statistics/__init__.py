"""Statistics and searches: values in, values out. No room here knows of a clock, a socket or a process."""
