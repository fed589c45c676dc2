"""Workspaces of any size, the same bytes each time, without recording each of their runs."""
