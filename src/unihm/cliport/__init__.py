"""Two-stream image network of the planner: things in an image, and which of them words mean (after CLIPort)."""
