"""How far two computations are apart: in values, in distributions, by position, and in sketches."""
