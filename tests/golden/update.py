"""Write every produced file: ``python -m tests.golden.update``."""

from tests.golden.produced import ROOT, SCREENS, produced, screen


def main() -> None:
    for path, text in produced().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, arguments in SCREENS.items():
        (ROOT / f"tests/golden/screens/{name}.txt").write_text(screen(arguments), encoding="utf-8")


if __name__ == "__main__":
    main()
