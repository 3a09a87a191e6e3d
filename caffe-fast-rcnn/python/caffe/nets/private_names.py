"""The private names that pycaffe's compiled Net has, for programs that use them."""


class PrivateNames:
    """What a caffe.Net is called by its numbers: blobs in order of appearance, layers in order.

    _blobs, _blob_names, _layer_names   lists, which the net sets
    """

    @property
    def _inputs(self):
        """Numbers of the input blobs."""
        return [self._blob_names.index(name) for name in self.inputs]

    @property
    def _outputs(self):
        """Numbers of the output blobs."""
        return [self._blob_names.index(name) for name in self.outputs]

    @property
    def _blob_loss_weights(self):
        """A number per blob."""
        return list(self.blob_loss_weights.values())

    def _bottom_ids(self, layer):
        """Numbers of the bottoms of layer number `layer`."""
        return self._numbers(self._runners[layer].bottoms)

    def _top_ids(self, layer):
        """Numbers of the tops of layer number `layer`."""
        return self._numbers(self._runners[layer].tops)

    def _numbers(self, blobs):
        numbers = {id(blob): number for number, blob in enumerate(self._blobs)}
        return [numbers[id(blob)] for blob in blobs]

    def _forward(self, start, end):
        """Runs layers number `start` to `end`; returns the weighted sum of their losses."""
        return float(self.run_forward(start, end))

    def _backward(self, start, end):
        """Runs layers number `start` down to `end` backwards."""
        self.run_backward(start, end)

    def _set_input_arrays(self, data, labels):
        """As set_input_arrays."""
        self.set_input_arrays(data, labels)

    def _batch(self, blobs):
        """Yields {name: array} of the net's batch size; the last is filled up with 0."""
        for batch, _ in self._batches(blobs):
            yield batch
