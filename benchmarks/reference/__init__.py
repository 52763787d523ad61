"""A rewrite of the algorithms of FaceForensics++'s DeepFakes script in plain cv2, numpy and Keras.

It works sample by sample and on whole frames, so it is slow, but simple enough to be checked by reading. It imports
nothing of the product. Tests compare the product with it, and the bench measures against it.
"""
