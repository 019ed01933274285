"""Load on the calendar models: who asks what, how often, and what came of it."""
