"""The model card: what the user says, what is known of the conversion, and the README.md that is made of them."""
