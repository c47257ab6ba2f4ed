"""Sinkhorn's iteration, its fixed point, its potentials and plans.  Come here to ask what one iteration computes."""
