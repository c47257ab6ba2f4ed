"""What is given: grids, clouds, densities and the problem they make.

Come here to ask what a user may hand in, and how it is read.
"""
