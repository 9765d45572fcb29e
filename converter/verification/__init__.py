"""Verification: any folder, ours or anybody's, held against the checkpoint it is said to come from."""
