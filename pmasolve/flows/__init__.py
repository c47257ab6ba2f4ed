"""The flow protocol, the only time loop, the parabolic Monge–Ampère equation and the flows it is compared with.

Come here to ask how a state moves.
"""
