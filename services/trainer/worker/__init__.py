"""The worker, which trains the model of one pair. In the trainer, only this package imports TensorFlow and OpenCV."""
