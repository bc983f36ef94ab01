"""`python -m spk2loihi`, and so `accelerate launch -m spk2loihi train`."""

from spk2loihi.cli.main import main

if __name__ == "__main__":
    main()
