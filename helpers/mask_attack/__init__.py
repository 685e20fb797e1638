"""Lesson 03, the mask attack: what a masked language model gives away, and how its masks break a classifier."""
