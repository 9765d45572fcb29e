"""A pickle reader that runs nothing: the machine, its operations, and what it makes of torch's and foreign names."""
