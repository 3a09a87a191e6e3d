"""Training images: the prepared roidb, minibatches, and the layer that feeds them to a net."""
