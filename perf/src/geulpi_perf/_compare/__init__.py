"""`geulpi compare`: the same random forest behind Triton and behind what else serves models."""
