"""The command line: one file for each command, `app` collects them.  Come here to ask what the shell says."""
