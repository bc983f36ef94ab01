"""Training a spiking student: teacher, distillation, checkpoints."""
