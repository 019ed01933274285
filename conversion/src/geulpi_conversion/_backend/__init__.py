"""What is published into a version's folder to serve an estimator on Triton's Python backend."""
