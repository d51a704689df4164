"""Clips of sound and video, or of colour and optical flow: the tables of several papers."""
