"""The claims of the theory, each with the check that it can fail:  python -m validation."""
