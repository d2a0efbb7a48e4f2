"""Batches: jobs that belong together, and what is to happen when they are through.

`member.py` is how a job tells its batch what becomes of it, and all that a worker needs; `batch.py` is what users
see. What becomes of a batch is decided in Redis, by `lua/_effect_batch.lua`.
"""
