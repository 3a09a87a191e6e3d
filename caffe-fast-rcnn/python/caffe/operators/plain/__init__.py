"""The operators once more, of plain PyTorch operations: slower, and nothing has to be compiled.

    regions             ROIPooling, position-sensitive pooling
    align               ROIAlign
    boxes               suppression
    values              smooth L1 loss, local response normalisation, the update of SGD
    convolutions        of 1 x 1, depthwise, of images
    depthwise_gradient  of the kernels of depthwise ones
    winograd            convolution, 3 x 3 with stride 1; "packed" weights are the kernels
    few_rows            product of a few rows
    pooling             maxima and averages of windows
    checks              what they demand of their operands
    library             their registration in the place of the compiled ones
    gradients           what autograd must know of them

Used where there is no C++ compiler, and on a GPU whose kernels were not compiled. Same operands,
same checks and errors, same numbers up to rounding: they follow the definitions in
src/caffe/layers.
Belongs here: one function per operator, what it demands of its operands, and its gradient.
May import: nothing of caffe.
"""
