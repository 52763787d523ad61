"""The Original model: the network (`network`) and its tensors as bytes (`weights`)."""
