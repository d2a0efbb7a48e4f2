"""The pages: each file declares its own in `PAGES`, and a file more here is a page more."""
