"""The steady state at once: optimal maps with a certificate.  Come here to ask how W₂ and its interval are found."""
