"""What several tests use: how a command, a worker or a checkpoint is made, and the corpora that they share."""
