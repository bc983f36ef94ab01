"""The program: `spk2loihi`, `python -m spk2loihi`, and so `accelerate launch -m spk2loihi train`."""

from spk2loihi.cli import interrupts


def main() -> None:
    interrupts.install()  # before click, whose import takes a while
    from spk2loihi.cli.main import main

    main()


if __name__ == "__main__":
    main()
