"""`python -m services.extractor.engines`: list the engines, their missing packages, and the terms of their weights."""

from __future__ import annotations

from services.extractor.engines import declarations


def main() -> None:
    """Print a paragraph for each engine; a folder or prefix of weights is not searched."""
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
