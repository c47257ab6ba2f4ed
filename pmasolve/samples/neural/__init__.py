"""Networks for the blocks of a JKO chain, trained by torch: the extra ``neural``.

Come here to learn a law by networks; what they have learned needs no torch, see `samples.jko.networks`.
"""
