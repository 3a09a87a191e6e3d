"""The operators once more, of plain PyTorch operations: slower, and nothing has to be compiled.

    regions    ROIPooling, position-sensitive pooling
    align      ROIAlign
    boxes      suppression
    values     smooth L1 loss, local response normalisation, the update of SGD
    pointwise  convolution, 1 x 1
    pooling    maxima and averages of windows
    winograd   convolution, 3 x 3 with stride 1; "packed" weights are the kernels
    checks     what they demand of their operands
    library    their registration in the place of the compiled ones

Used where there is no C++ compiler, and on a GPU whose kernels were not compiled. Same operands,
same checks and errors, same numbers up to rounding: they follow the definitions in
src/caffe/layers.
Belongs here: one function per operator, and what it demands of its operands.
May import: nothing of caffe.
"""
