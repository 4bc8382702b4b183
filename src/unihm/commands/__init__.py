"""The bodies of the subcommands. Light to import: each function imports what it needs when it runs."""
