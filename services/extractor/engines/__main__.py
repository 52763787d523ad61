"""Lists the engines, with the packages that are not installed here and the terms of the weights.

Run it as `python -m services.extractor.engines`.
"""

from __future__ import annotations

from services.extractor.engines import declarations


def main() -> None:
    """Print a paragraph for each engine; whether the operator has provided the weights is not checked."""
    for engine in declarations():
        state = engine.missing_package() or "its packages are installed"
        print(f"{engine.name}: {state}")
        print(f"  landmarks: {engine.landmarks or 'none, detection only'}")
        for file in engine.weights:
            print(f"  weights:   {file.name} ({file.distribution or 'provided by the operator'})")
        if engine.licence:
            print(f"  licence:   {engine.licence.terms} ({engine.licence.source})")


if __name__ == "__main__":
    main()
