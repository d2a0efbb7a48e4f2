"""An outbox: jobs are rows of the app's database, written in its own transaction, until a relay has pushed them.

    send.using(outbox=session).enqueue(12)    # SQLAlchemy: a session or connection, async or scoped too
    send.using(outbox=True).enqueue(12)       # Django: the default database, or its alias
    Relay(engine).run_once()                  # elsewhere, again and again

A job is there if and only if the transaction was committed, whatever dies in between. It is pushed at least once:
a relay that dies between its push and its commit leaves the row, and the next one pushes the job again, with the
same id.
"""

from sidelamb.outbox.relay import Relay

__all__ = ["Relay"]
