"""Log-sums along the axes of a grid.  Come here to ask how a half-iteration on a grid is fast and safe."""
