"""From words and an image to success in physics, measured: worlds, trials, references, tables and pages."""
