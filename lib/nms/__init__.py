"""Greedy non-maximum suppression: readable (py_cpu_nms), compiled (cpu_nms), on the GPU (gpu_nms).

All three keep the best box, drop those that overlap it by `thresh` or more, and go on with the
best of the rest; equal scores keep the order of the rows.
"""
