"""Files made to hurt, and the proof that none of them does."""
