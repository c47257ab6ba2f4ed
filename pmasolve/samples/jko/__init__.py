"""Chains of JKO blocks that carry data to a normal distribution, one minimising movement a block; the guarantees beside the run.

Come here to learn a law block by block, by convex programmes or by the networks that `samples.neural` trains.
"""
