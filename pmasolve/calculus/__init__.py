"""Derivatives on a grid: transforms, gradients, Hessians and their algebra.  Come here to ask how D²u is computed."""
