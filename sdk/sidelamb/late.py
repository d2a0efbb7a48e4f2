"""Late imports: modules that are imported when they are first needed, by any thread, without harm to a fork.

A child that is forked while another thread imports a module inherits that module's lock, and nobody there will
ever release it: its own import would wait for ever. So a fork waits until a late import is through.
"""

from __future__ import annotations

import os
import threading

__all__ = ["late_import"]

late_import = threading.RLock()
"""Hold it, `with late_import:`, around an import inside a function."""

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=late_import.acquire, after_in_parent=late_import.release, after_in_child=late_import.release
    )
