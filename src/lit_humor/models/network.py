"""The network contract: what the rest of the project asks of a model. Legend: B rows of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from lit_humor.core.rows import TrainingRows
from lit_humor.models.pretrained import Pretrained


class Network(nn.Module, ABC):
    """A model; a new one is a new subclass in a new file.

    Its constructor takes ``pretrained`` (the name of what it is loaded from), ``attention`` (the backend),
    ``with_weights`` (False where those of a checkpoint follow), what the tasks of the run supply (``num_classes``, see
    ``Task.network_arguments``), and the settings that its node lists.

    Attributes:
        loaded_from: What finds its configuration, its tokenizer and the like, on the hub and in a run folder.
    """

    loaded_from: ClassVar[type[Pretrained]] = Pretrained

    def __init__(self) -> None:
        super().__init__()
        self._prefix = ""  # of its names, where it is a part of what is loaded
        self.register_state_dict_post_hook(_leave_out)
        self.register_load_state_dict_pre_hook(_refuse_more)
        self.register_load_state_dict_post_hook(_miss_no_others)

    def keeps(self, name: str) -> bool:
        """Whether checkpoints hold this parameter or buffer; the constructor makes the others the same again.

        Adapters of a frozen model keep theirs alone. A checkpoint must hold exactly what is kept to be loaded.
        """
        return True

    @abstractmethod
    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named tensors of a batch, [B, ...] each: what objectives and tasks ask for."""

    @abstractmethod
    def parameter_depths(self) -> dict[str, int]:
        """The depth of each parameter by name, 0 next to the input: deeper ones learn at a higher rate."""

    @property
    def config(self) -> Any:
        """The configuration of transformers that the run folder keeps; None keeps that of what it was loaded from."""
        return None

    def layers(self) -> Sequence[nn.Module]:
        """Parts of like size, bottom to top, to be compiled and sharded one by one; empty where there are none."""
        return ()

    def prepare(self, training: TrainingRows) -> None:
        """Look at the training rows before the optimizer is built; not called for evaluation."""

    def compile_parts(self, whole: bool = False, backend: str = "inductor") -> None:
        """Compile for all widths, in place; names in checkpoints do not change.

        Args:
            whole: Compile as one graph; by default each layer, so that equal layers share code.
            backend: Name of the compiler for ``torch.compile``.
        """
        for module in (self,) if whole else self.layers() or (self,):
            module.compile(backend=backend, dynamic=True)


def _leave_out(network: Network, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Hook: what the network does not keep is in no state."""
    for name in _others(network, state, prefix):
        del state[name]


def _refuse_more(network: Network, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
    """Hook: a state that holds what the network does not keep is that of another network."""
    network._prefix = prefix
    unexpected_names: list[str] = rest[3]
    unexpected_names += _others(network, state, prefix)


def _miss_no_others(network: Network, incompatible: Any) -> None:
    """Hook: only what the network keeps can be missing."""
    missing: list[str] = incompatible.missing_keys
    for name in _others(network, missing, network._prefix):
        missing.remove(name)


def _others(network: Network, names: Iterable[str], prefix: str) -> list[str]:
    """Names of the network, those with its prefix, that it does not keep."""
    return [name for name in names if name.startswith(prefix) and not network.keeps(name.removeprefix(prefix))]
