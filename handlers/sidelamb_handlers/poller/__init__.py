"""The poller: takes jobs from Redis and has Lambda run them."""
