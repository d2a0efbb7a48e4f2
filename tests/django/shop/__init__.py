"""An app with tasks and jobs."""
