"""In a folder of its own: Lava imports all files beside a process in search of models."""
