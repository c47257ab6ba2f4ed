"""Optimal transport on grids between rough, high-contrast and vanishing densities, with a certified interval."""
