"""Readers of files, one file for each library that reads.  Come here for a format, or for what a format's numbers become.

Each has ``read(file, choice)`` and gives the numbers that the readers of its own community give, or refuses by name.
"""
