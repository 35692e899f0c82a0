"""What runs inside Locust beneath the users: the plan carried out, the clock, the deadlines, the recorder."""
