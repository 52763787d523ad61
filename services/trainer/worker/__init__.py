"""The worker: the process that trains the model of one pair.

Within `services.trainer`, only this package imports TensorFlow and OpenCV.
"""
