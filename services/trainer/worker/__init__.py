"""What a training runs: faces in, model out. Everything heavy of the trainer is in here."""
