"""Claims made up for the tests of the suite, importable by other processes."""
