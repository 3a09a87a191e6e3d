"""Fast R-CNN on given or learned proposals: configuration, boxes, sampling, training, detection."""
