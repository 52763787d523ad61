"""What the DeepFakes script of FaceForensics++ computes, step by step, in plain cv2, numpy and Keras.

Written from facts about FF++, sample by sample and whole frame by whole frame, without its shortcuts or ours: slow, and
plain enough to check by eye. It imports nothing of the product. Tests compare the product with it.
"""
