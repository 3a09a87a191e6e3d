"""The learnable blobs that a plan has read: whether they are as they were."""
from caffe.core.blob import AnyParamBlob
from caffe.core.memory import Memory


class SeenBlobs:
    """Learnable blobs as they were when they were added, which is looked at before every pass."""

    def __init__(self) -> None:
        self._blobs: list[AnyParamBlob] = []
        self._memories: list[Memory] = []
        self._changes: list[int] = []
        self._lent: list[tuple[Memory, tuple[int, ...]]] = []   # with their stamps

    def add(self, blob: AnyParamBlob) -> None:
        """Notes a blob as it is now."""
        memory = blob.values
        self._blobs.append(blob)
        self._memories.append(memory)
        self._changes.append(memory.changes)
        if memory.is_lent:
            self._lent.append((memory, memory.stamp()))

    def are_unchanged(self) -> bool:
        """Whether every blob has the memory and the values that it had."""
        return ([blob.values for blob in self._blobs] == self._memories
                and [memory.changes for memory in self._memories] == self._changes
                and all(memory.stamp() == stamp for memory, stamp in self._lent))

    def changed(self) -> set[int]:
        """The ids of the blobs that have another memory or other values now."""
        lent = {id(memory) for memory, stamp in self._lent if memory.stamp() != stamp}
        return {id(blob) for blob, memory, changes in zip(self._blobs, self._memories,
                                                          self._changes)
                if blob.values is not memory or memory.changes != changes or id(memory) in lent}
