"""Values of socket options, as the kernel takes them. Every worker loads this module: it imports nothing."""


def timeval(seconds: float) -> bytes:
    """A `struct timeval` of native 64-bit words; 0 means no timeout."""
    whole = int(seconds)
    return whole.to_bytes(8, "little") + int((seconds - whole) * 1e6).to_bytes(8, "little")
