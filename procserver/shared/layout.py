"""The scoreboard's layout: what each word of a slot means, and which process writes it.

Every worker loads this module: it imports nothing.
"""

MAGIC = 0x70726F6373727631  # "procsrv1"
VERSION = 1
SLOT_WORDS = 64
SLOT_BYTES = SLOT_WORDS * 8

# Header words, all written by the supervisor.
H_MAGIC, H_VERSION, H_SLOTS, H_DRAIN, H_TICK_NS, H_STOPPING = range(6)

# H_DRAIN: at a stop, workers accept until the queue is empty, and serve or refuse the connections in it.
NO_DRAIN, DRAIN_SERVE, DRAIN_REFUSE = range(3)

# Slot words written by the supervisor.
PID, GENERATION, ARMED, RING_AT = range(4)
# ARMED: the worker is one of the last spares, so it rings the supervisor's bell at its next connection.
# RING_AT: it rings at its slot's connection of this number, the last of its quota; 0 for none.
# Slot word written by the template's middle process: the worker's pid, at once after its fork.
FORKED = 7
# Slot words written by the worker.
STATE, STAGE, SINCE_NS, REGISTERED_NS, STOP_SEEN = range(8, 13)
# STOP_SEEN: in which of its two meanings the worker has received TERM.
SEEN_RETIRE, SEEN_STOP = 1, 2
CONNECTIONS, MESSAGES, BYTES_IN, BYTES_OUT, RECORDS_DROPPED = range(13, 18)
OUTCOMES = 18  # thirteen words, see OUTCOME_NAMES
STARTED_NS, MESSAGES_BEFORE, BYTES_IN_BEFORE, BYTES_OUT_BEFORE = range(32, 36)
USAGE_BEFORE = 36  # six words, see USAGE_NAMES
LISTENER, PEER_PORT, RECORD_DUE = range(44, 47)
# RECORD_DUE: the outcome's word of a connection that is counted but whose access record may not be written yet.
PEER = 48  # eight words: the peer's address as text, NUL-padded
PEER_BYTES = 64

FREE, STARTING, IDLE, BUSY, LEAVING = range(5)
STATE_NAMES = ("free", "starting", "idle", "busy", "leaving")

# STAGE holds two facts that must not be torn apart, see `stage_word`: the stage in its low three bits, the deadline
# (monotonic nanoseconds) in the others.
STAGE_MASK = 7
DEADLINE_MASK = -8
NO_STAGE, BETWEEN_MESSAGES, IN_MESSAGE, IN_HANDLER, IN_WRITE, CLOSING = range(6)
STAGE_NAMES = ("none", "idle", "message", "handler", "write", "closing")

OUTCOME_NAMES = (
    "closed",
    "eof",
    "reset",
    "idle_timeout",
    "message_timeout",
    "write_timeout",
    "connection_timeout",
    "too_long",
    "refused",
    "handler_error",
    "drained",
    "handler_timeout",  # this one and the next are counted by the supervisor
    "killed",
)
CLOSED, EOF, RESET, IDLE_TIMEOUT, MESSAGE_TIMEOUT, WRITE_TIMEOUT, CONNECTION_TIMEOUT = range(OUTCOMES, 25)
TOO_LONG, REFUSED, HANDLER_ERROR, DRAINED, HANDLER_TIMEOUT, KILLED = range(25, 31)

USAGE_NAMES = (
    "cpu_user_us",
    "cpu_system_us",
    "minor_faults",
    "major_faults",
    "voluntary_switches",
    "involuntary_switches",
)


def stage_word(stage: int, deadline_ns: int) -> int:
    """The word of a stage and its deadline. `timed_socket` writes it out where it runs for each message."""
    return deadline_ns & DEADLINE_MASK | stage


def stage_of(word: int) -> int:
    """The stage in a word; the word itself, compared with the clock, is its deadline to within 8 ns."""
    return word & STAGE_MASK
