"""One module per Hugging Face architecture that a checkpoint can become: its rule table and its config."""
