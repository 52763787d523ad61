"""Dataset runs as Jobs of a Kubernetes cluster. Only `access` imports the Kubernetes client, when it is used."""
