"""Schedules of several steps: alternating optimization as a table and the function that runs it.

Belongs here: tables of steps and their prototxts.
May import: everything but pretrained and commands.
"""
