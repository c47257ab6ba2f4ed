"""What is learned from data: the scales at which a law is hard to denoise.  Come here to ask what samples say."""
