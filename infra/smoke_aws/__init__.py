"""A deploy, from nothing to nothing, in an account of yours: `make smoke-aws`.

Nobody has run it on real AWS yet. What runs in our tests is the same program against an emulator on loopback,
which knows neither Fargate nor metrics out of log lines.
"""
