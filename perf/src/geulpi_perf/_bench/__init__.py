"""`geulpi bench`: perf_analyzer on a running server."""
