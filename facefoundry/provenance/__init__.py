"""Signs the videos of finished datasets by C2PA, and verifies datasets: signatures, digests, labels and pixels."""
