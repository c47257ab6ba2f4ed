"""Samplers: laws of samples and posteriors as push-forwards of a normal distribution by the gradient of a convex function.

Come here to generate, to evaluate densities, or to integrate against a posterior.
"""

from .reference import Nodes as Nodes
from .reference import Reference as Reference
