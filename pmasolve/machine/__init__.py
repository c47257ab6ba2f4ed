"""How the computer is used: threads, fast exponentials, progress, archives, versions.

Come here for speed and files, never for mathematics.
"""
