"""The network contract: the interface of models to the rest of the project. Legend: B rows of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from lit_humor.core.rows import TrainingRows
from lit_humor.models.pretrained import Pretrained


class Network(nn.Module, ABC):
    """A model; a new one is a new subclass in a new file.

    Its constructor takes ``pretrained`` (hub name or folder), ``attention`` (the backend), ``with_weights`` (False if a
    checkpoint is loaded next), the arguments of the tasks (``num_classes``, see
    ``Task.network_arguments``), and the settings of its node.

    Attributes:
        gives: Outputs that ``forward`` can give, which are compared with those that the tasks read.
        loaded_from: Class that loads its configuration and tokenizer from the hub or a run folder.
    """

    gives: ClassVar[tuple[str, ...]] = ("logits",)
    loaded_from: ClassVar[type[Pretrained]] = Pretrained

    def __init__(self) -> None:
        super().__init__()
        self._prefix = ""  # of its names in a state dict, if it is part of a larger module
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_pre_hook(_refuse_more)
        self.register_load_state_dict_post_hook(_miss_no_others)

    def keeps(self, name: str) -> bool:
        """Return whether checkpoints contain this parameter or buffer; the constructor must restore the others.

        Adapters of a frozen model keep only their own parameters. A checkpoint must contain exactly the kept names.
        """
        return True

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return named tensors [B, ...] of a batch, which objectives and tasks use."""

    @abstractmethod
    def parameter_depths(self) -> dict[str, int]:
        """Return the depth of each parameter by name, 0 at the input; a larger depth has a higher learning rate."""

    @property
    def config(self) -> Any:
        """Transformers configuration for the run folder; None means that of the pretrained model."""
        return None

    def layers(self) -> Sequence[nn.Module]:
        """Return the layers, bottom to top, which are compiled and sharded one by one; empty if there are none."""
        return ()

    def load_kept_out(self, find: Callable[[], Pretrained]) -> None:
        """Load what checkpoints leave out, of a network built without weights; called before a checkpoint is loaded.

        Args:
            find: Returns the pretrained model that the training started from.
        """

    def prepare(self, training: TrainingRows) -> None:
        """Adapt to the training rows, before the optimizer is built; not called for evaluation."""

    def compile_parts(self, whole: bool = False, backend: str = "inductor") -> None:
        """Compile in place, for batches of any width; names in checkpoints do not change.

        Args:
            whole: Compile as one graph; by default each layer, so that equal layers share code.
            backend: Name of the compiler for ``torch.compile``.
        """
        for module in (self,) if whole else self.layers() or (self,):
            module.compile(backend=backend, dynamic=True)


def _leave_out(network: Network, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Hook: remove from a state dict what the network does not keep."""
    for name in _others(network, state, prefix):
        del state[name]


def _refuse_more(network: Network, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
    """Hook: report names in a state dict that the network does not keep as unexpected."""
    network._prefix = prefix
    unexpected_names: list[str] = rest[3]
    unexpected_names += _others(network, state, prefix)


def _miss_no_others(network: Network, incompatible: Any) -> None:
    """Hook: do not report names that the network does not keep as missing."""
    missing: list[str] = incompatible.missing_keys
    for name in _others(network, missing, network._prefix):
        missing.remove(name)


def _others(network: Network, names: Iterable[str], prefix: str) -> list[str]:
    """Return the names with the network's prefix that it does not keep."""
    return [name for name in names if name.startswith(prefix) and not network.keeps(name.removeprefix(prefix))]
