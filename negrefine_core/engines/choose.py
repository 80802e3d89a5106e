"""The engine of a name."""

from ..cache import CachedEncoder
from ..errors import NegRefineError
from ..hyperparameters import WORKERS
from ..runs import Run
from . import Engine, EngineName, is_ray_installed
from .local import LocalEngine


def open_engine(
    name: EngineName,
    run: Run,
    encoder: CachedEncoder,
    workers: int = WORKERS,
    address: str = "",
    actors: int | None = None,
) -> Engine:
    """Raises NegRefineError where Ray is wanted and not installed, or its settings are given for another engine."""
    if name == "local":
        if address or actors:
            raise NegRefineError("the address and the number of actors are Ray's; give them with the engine 'ray'")
        return LocalEngine(encoder, workers)
    if not is_ray_installed():
        raise NegRefineError("the engine 'ray' needs Ray Data; install it: pip install 'negrefine-explorer[ray]'")
    from .ray_data import RayEngine, Weights

    settings = run.settings
    weights = Weights(settings.model, settings.pretrained, encoder.fingerprint)
    return RayEngine(weights, run.path("parts"), address, actors, workers)
