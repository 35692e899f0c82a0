"""What the answers' commands have found, as types: what is written to `answer.json`, and drawn."""
