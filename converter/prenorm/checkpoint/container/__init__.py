"""The two containers of torch: the mapped file, its byte ranges, and where each record lies."""
