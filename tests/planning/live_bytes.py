"""How many bytes of tensors live during a block, by watching every storage that torch makes there."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts storages that come into being inside the block; those that existed before are not counted."""

    def __init__(self, *known):
        super().__init__()
        self._known = {id(t.untyped_storage()) for t in known}
        self._alive = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage(), given)
        return out

    def _note(self, storage, given):
        key = storage._cdata
        if key in self._alive or key in given:
            return
        size = storage.nbytes()
        self._alive[key] = size
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key):
        self.now -= self._alive.pop(key, 0)
