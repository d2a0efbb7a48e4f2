"""The local stack: what `sidelamb dev` and the tests run in place of AWS.

`service` is Lambda (the Invoke API in front, sandboxes that are processes behind), `template` reads which
functions there are, `redis_server` is a real Redis. Everything started here dies with the process that
started it.
"""
