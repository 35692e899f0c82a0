"""What runs inside Locust beneath the users: schedule, clock, deadlines, recorder. `load_process` owns them."""
