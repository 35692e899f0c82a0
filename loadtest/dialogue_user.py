"""The locustfile of dialogues: `locust -f loadtest/dialogue_user.py --dialogue FILE`.

As `tcp_user`, nothing may import it.
"""

import sys
from pathlib import Path

if (_root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, _root)

from loadtest.users.dialogue import DialogueUser

__all__ = ["DialogueUser"]
