"""Every reader of files against files that a machine made up: `python -m tests.fuzz --help`."""
