"""What runs the jobs: the worker and scheduler functions, and the poller."""
