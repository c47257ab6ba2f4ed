"""Measurement: errors between runs, observed orders, verdicts and the reports about them.

Come here to ask how large an error is.
"""
