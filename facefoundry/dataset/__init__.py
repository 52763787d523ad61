"""Makes datasets: chooses pairs (`plan`), runs all of them (`run`), and names the files (`layout`)."""
