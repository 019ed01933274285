"""How serving scales: the curves, what ends them, and what they come to."""
