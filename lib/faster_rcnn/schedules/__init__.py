"""Schedules of several steps: alternating optimization as a table, and the runner of such tables.

From an option to the solver: runner.run_schedule reads the table (alternating.py, rfcn.py),
files.py adapts its prototxts with the numbers of the options, and actions.py does what a step is:
train_net, proposals, statistics.

Belongs here: tables of steps, their prototxts and what runs them.
May import: everything but pretrained and commands.
"""
