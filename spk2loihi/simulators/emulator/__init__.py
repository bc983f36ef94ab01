"""The emulator: this project's integer engine."""
