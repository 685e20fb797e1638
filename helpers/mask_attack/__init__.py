"""Lesson 03, the mask attack: what a masked model gives away, and how it breaks a classifier."""
