"""`python -m nlp.shipping NAME --data FOLDER --vectors FILE [--seed N]`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

from nlp import shipping


def main() -> None:
    """Make the weights that are asked for."""
    found = [module.name for module in pkgutil.iter_modules(shipping.__path__)]
    weights = [name.replace("_", "-") for name in found if not name.startswith("_")]
    parser = argparse.ArgumentParser(prog="python -m nlp.shipping")
    parser.add_argument("name", choices=weights)
    parser.add_argument("--data", type=Path, help="the folder of public data sets")
    parser.add_argument("--vectors", type=Path, required=True, help="GloVe 6B 100d, .npy or text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teacher", help="instead of the recipe's own: none, frozen, tuned")
    parser.add_argument("--short-encoder", type=Path, help="folder of a larger one, for sentences")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own")
    options = parser.parse_args()
    module = importlib.import_module(f"nlp.shipping.{options.name.replace('-', '_')}")
    names = ("seed", "teacher", "epochs", "short_encoder")
    told = {name: getattr(options, name) for name in names}
    folder = module.make(
        options.data, options.vectors, {k: v for k, v in told.items() if v is not None}
    )
    sys.stderr.write(f"{folder}\n")


if __name__ == "__main__":
    main()
