"""What is worked out once for each state of a run's files."""

from collections.abc import Callable, Hashable
from functools import update_wrapper
from typing import Any, Literal, ParamSpec, TypeVar

import streamlit as st

P = ParamSpec("P")
T = TypeVar("T")


def cached_by(
    state: Callable[P, Hashable],
    *,
    max_entries: int,
    spinner: str | bool = False,
    keep: Literal["copies", "itself"] = "copies",
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Keep a function's results by the state that its arguments are in, such as `run.state("verdicts.jsonl")`.

    `copies` of a result may be changed by who gets them; what is large or holds a model is kept `itself`.
    """
    cache = st.cache_data if keep == "copies" else st.cache_resource

    def decorate(work: Callable[P, T]) -> Callable[P, T]:
        def kept(_arguments: tuple[Any, ...], _named: dict[str, Any], state: Hashable) -> T:
            return work(*_arguments, **_named)

        update_wrapper(kept, work)  # Streamlit knows functions by their names
        del kept.__dict__["__wrapped__"]  # it would look for this one's arguments in the other's
        cached = cache(max_entries=max_entries, show_spinner=spinner)(kept)

        def by_state(*args: P.args, **kwargs: P.kwargs) -> T:
            found: T = cached(args, kwargs, state(*args, **kwargs))
            return found

        return update_wrapper(by_state, work)

    return decorate
