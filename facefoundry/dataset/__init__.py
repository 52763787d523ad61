"""Datasets: which pairs (`plan`), doing all of them (`run`), and the folders they end in (`ffpp_layout`)."""
