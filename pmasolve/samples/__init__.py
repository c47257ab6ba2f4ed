"""What is learned from data: ε and gauge of an entropic map, the scales at which a law is hard to denoise.

Come here to ask what samples say.
"""
