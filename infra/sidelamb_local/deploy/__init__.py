"""The SAM template of an app, and the pieces that it is put together from."""
