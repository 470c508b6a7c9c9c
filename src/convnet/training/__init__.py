"""Train one job: batches, epochs, checkpoints in, one result folder out."""
