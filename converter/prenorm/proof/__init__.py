"""The proof: what the checkpoint computes, what the folder computes, and how far they are apart."""
