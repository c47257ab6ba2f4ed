"""Log-sums between clouds of points.  Come here to ask how sums over all pairs are grouped, blocked and bounded."""
