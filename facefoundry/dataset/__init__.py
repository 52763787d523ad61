"""Makes datasets: finds clips and pairs (`plan`), runs all stages of all pairs (`run`), names the files (`layout`)."""
